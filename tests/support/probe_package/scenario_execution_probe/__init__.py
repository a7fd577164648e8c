# SPDX-License-Identifier: Apache-2.0
"""Actions that write down what happens to them, and actions that misbehave on demand."""
