"""QEMU/KVM."""
