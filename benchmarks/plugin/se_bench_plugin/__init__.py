# SPDX-License-Identifier: Apache-2.0
"""Actions that cost next to nothing."""
