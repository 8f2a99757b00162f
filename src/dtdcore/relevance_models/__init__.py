# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Relevance models: how the relevance of a hidden neuron depends on its inputs."""

from dtdcore.relevance_models.base import Planner, RelevanceModel
from dtdcore.relevance_models.minmax import MinMax
from dtdcore.relevance_models.report import LayerReport, ModelReport
from dtdcore.relevance_models.training_free import TrainingFree

__all__ = ["LayerReport", "MinMax", "ModelReport", "Planner", "RelevanceModel", "TrainingFree"]
