# SPDX-License-Identifier: Apache-2.0
"""Writes a scenario as a model file: `serialise.py SCENARIO.osc MODEL.sce`, as tools that vary scenarios do."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from scenario_execution.model.osc2_parser import OpenScenario2Parser
from scenario_execution.model.types import serialize
from scenario_execution.utils.logging import Logger

source, target = sys.argv[1:]
parser = OpenScenario2Parser(Logger("serialise", False))
model = parser.load_internal_model(parser.parse_file(source), source)
Path(target).write_text(yaml.safe_dump(serialize(model)["CompilationUnit"]["_children"], sort_keys=False))
