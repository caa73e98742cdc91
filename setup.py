"""Packaging: the package `gantry` is the folder lib/, `hbal` is tools/hbal/, `vcluster` is tools/vcluster/."""

from pathlib import Path

from setuptools import find_packages, setup

COMMANDS = ["backup", "cluster", "debug", "filter", "group", "instance", "job", "network", "node", "os", "storage"]
BALANCER = ["hail", "harep", "hbal", "hcheck", "hinfo", "hroller", "hscan", "hspace", "hsqueeze"]


def manual() -> list[tuple[str, list[str]]]:
    """The pages of man/, which `make man` makes, by the folder they go to."""
    return [(f"share/man/man{section}", sorted(str(path) for path in Path("man").glob(f"*.{section}")))
            for section in "178"]


setup(
    name="gantry",
    version="0.1.0",
    description="Clusters of KVM virtual machines on ordinary servers with local disks",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    package_dir={"gantry": "lib", "hbal": "tools/hbal", "vcluster": "tools/vcluster"},
    packages=["gantry", *(f"gantry.{name}" for name in find_packages("lib")),
              "hbal", *(f"hbal.{name}" for name in find_packages("tools/hbal")), "vcluster"],
    package_data={"gantry": ["py.typed"], "hbal": ["py.typed"], "vcluster": ["py.typed", "guest/*"]},
    data_files=[*manual(), ("lib/ganeti/iallocators", ["tools/hbal/iallocators/hail"])],
    install_requires=[
        "bitarray>=2.9", "cheroot>=9", "cryptography>=42", "numpy>=1.24", "paramiko>=2.12",
        "prometheus_client>=0.16", "psutil>=5.9", "pycurl>=7.45", "pyOpenSSL>=23", "pyparsing>=3.0", "simplejson>=3.18",
    ],
    extras_require={
        "test": ["hypothesis", "mypy", "pytest", "pytest-xdist", "ruff", "types-paramiko", "types-psutil",
                 "types-pyOpenSSL", "types-pycurl", "types-simplejson"],
    },
    entry_points={
        "console_scripts": [
            *(f"gnt-{name}=gantry.cli.main:main" for name in COMMANDS),
            "gnt-masterd=gantry.server.masterd:main",
            "gnt-noded=gantry.server.noded:main",
            "gnt-rapi=gantry.server.rapi:main",
            "gnt-watcher=gantry.watcher.program:main",
            "gnt-rapi-token=gantry.rapi.token_program:main",
            *(f"{name}=hbal.programs.{name}:main" for name in BALANCER),
            "vcluster=vcluster.main:main",
        ],
    },
)
