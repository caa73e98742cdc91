# SPDX-License-Identifier: BSD-2-Clause
"""`python -m qa`."""

import sys

from qa.main import main

sys.exit(main())
