# SPDX-License-Identifier: Apache-2.0
"""Run any action of an OpenSCENARIO DSL scenario on another machine: the remote() modifier."""
