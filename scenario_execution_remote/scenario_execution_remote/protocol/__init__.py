# SPDX-License-Identifier: Apache-2.0
"""The wire protocol: messages, codec and the rules of a session, without any I/O."""
