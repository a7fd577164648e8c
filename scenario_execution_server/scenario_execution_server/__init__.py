# SPDX-License-Identifier: Apache-2.0
"""The server that executes the remote actions of OpenSCENARIO DSL scenarios."""
