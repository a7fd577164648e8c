# SPDX-License-Identifier: Apache-2.0
"""Files on their way between two trees: what they may be called, how fast they go, how they are read and put down."""
