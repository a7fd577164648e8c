# SPDX-License-Identifier: Apache-2.0
"""What runs in the processes of one session: fork server, shepherd and worker."""
