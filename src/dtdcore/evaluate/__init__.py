# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Is a heatmap any good? Region perturbation.

Regions of the input are replaced, those that the heatmap calls most relevant first, and the output
that was explained is watched: the faster it falls, the better the heatmap found what the network
looks at (Samek, Binder, Montavon, Lapuschkin, Müller: "Evaluating the visualization of what a deep
neural network has learned", IEEE Transactions on Neural Networks and Learning Systems 28, 2017).

    compared = dtd.evaluate.compare(
        net, x, {"deep Taylor": explain, "sensitivity": dtd.Sensitivity(net), "random": "random"}
    )
    print(compared.table())
    compared.plot().savefig("curves.png")

It measures what a network does with inputs that it was not trained for, so results depend on the
fill: compare several.
"""

from dtdcore.evaluate.comparing import compare, perturb
from dtdcore.evaluate.comparison import Comparison
from dtdcore.evaluate.curves import Curve, band
from dtdcore.evaluate.perturbation import Perturbation
from dtdcore.evaluate.regions import Regions, feature_groups, patches

__all__ = [
    "Comparison",
    "Curve",
    "Perturbation",
    "Regions",
    "band",
    "compare",
    "feature_groups",
    "patches",
    "perturb",
]
