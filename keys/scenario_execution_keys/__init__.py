# SPDX-License-Identifier: Apache-2.0
"""Who am I and whom do I trust: the key store of scenario-execution-server."""
