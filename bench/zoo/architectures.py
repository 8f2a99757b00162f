# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""The networks, with random weights from a fixed seed. Shapes as published; nothing is trained."""

from __future__ import annotations

from zoo.items import Builder, Item


def vgg(seed: int, widths=None, size: int = 224, dense: int = 4096, classes: int = 1000):
    """VGG-16 (Simonyan and Zisserman 2015): 3x3 convolutions, five max pools, three dense."""
    net = Builder(seed)
    widths = widths or [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]
    for block, row in enumerate(widths, 1):
        for number, width in enumerate(row, 1):
            net.conv(f"conv{block}_{number}", width, 3, padding=1)
            net.same(f"relu{block}_{number}", "relu")
        net.same(f"pool{block}", "maxpool", size=2, stride=2, padding=0, ceil=False)
        size //= 2
    net.same("flatten", "flatten")
    inputs = widths[-1][-1] * size * size
    for name, outputs in (("fc6", dense), ("fc7", dense)):
        net.dense(name, inputs, outputs)
        net.same("relu_" + name, "relu")
        inputs = outputs
    net.dense("fc8", inputs, classes)
    return net.items


def _basic(net: Builder, name: str, source: str, width: int, stride: int) -> str:
    net.conv(f"{name}_conv1", width, 3, source, stride=stride, padding=1, bias=False)
    net.batchnorm(f"{name}_bn1")
    net.same(f"{name}_relu1", "relu")
    net.conv(f"{name}_conv2", width, 3, padding=1, bias=False)
    return net.batchnorm(f"{name}_bn2", 0.5)


def _bottleneck(net: Builder, name: str, source: str, width: int, stride: int) -> str:
    net.conv(f"{name}_conv1", width, 1, source, bias=False)
    net.batchnorm(f"{name}_bn1")
    net.same(f"{name}_relu1", "relu")
    net.conv(f"{name}_conv2", width, 3, stride=stride, padding=1, bias=False)
    net.batchnorm(f"{name}_bn2")
    net.same(f"{name}_relu2", "relu")
    net.conv(f"{name}_conv3", 4 * width, 1, bias=False)
    return net.batchnorm(f"{name}_bn3", 0.5)


def resnet(seed: int, blocks, bottleneck: bool, width: int = 64, classes: int = 1000):
    """ResNet (He et al. 2016), the stride in a bottleneck's 3x3 convolution, as torchvision has it.

    The BatchNorm that ends a branch has half the scale of the others, so that sums stay bounded.
    """
    net = Builder(seed)
    net.conv("conv1", width, 7, stride=2, padding=3, bias=False)
    net.batchnorm("bn1")
    net.same("relu1", "relu")
    source = net.same("pool1", "maxpool", size=3, stride=2, padding=1, ceil=False)
    for stage, count in enumerate(blocks):
        for number in range(count):
            name = f"block{stage + 1}_{number + 1}"
            stride = 2 if stage and not number else 1
            wide = width << stage
            branch = (_bottleneck if bottleneck else _basic)(net, name, source, wide, stride)
            if net.channels[source] != net.channels[branch] or stride > 1:
                net.conv(f"{name}_down", net.channels[branch], 1, source, stride=stride, bias=False)
                source = net.batchnorm(f"{name}_bn_down")
            net.add(f"{name}_add", branch, source)
            source = net.same(f"{name}_relu", "relu")
    net.same("pool", "globalpool")
    net.same("flatten", "flatten")
    net.dense("fc", net.channels["flatten"], classes)
    return net.items


INCEPTIONS = {  # 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; 1x1 behind the pool
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(seed: int) -> list[Item]:
    """GoogLeNet as published (Szegedy et al. 2015): LRN, no BatchNorm, no auxiliary classifiers."""
    net = Builder(seed)
    lrn = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}
    pool = {"size": 3, "stride": 2, "padding": 0, "ceil": True}

    def conv(name, outputs, size, source=None, **options):
        net.conv(name, outputs, size, source, padding=size // 2, **options)
        return net.same(f"{name}_relu", "relu")

    conv("conv1", 64, 7, stride=2)
    net.same("pool1", "maxpool", **pool)
    net.same("norm1", "lrn", **lrn)
    conv("conv2_reduce", 64, 1)
    conv("conv2", 192, 3)
    net.same("norm2", "lrn", **lrn)
    source = net.same("pool2", "maxpool", **pool)
    for name, (one, reduce3, three, reduce5, five, behind) in INCEPTIONS.items():
        if name in ("4a", "5a"):
            source = net.same(f"pool{int(name[0]) - 1}", "maxpool", source, **pool)
        branches = [conv(f"inception{name}_1x1", one, 1, source)]
        conv(f"inception{name}_3x3_reduce", reduce3, 1, source)
        branches.append(conv(f"inception{name}_3x3", three, 3))
        conv(f"inception{name}_5x5_reduce", reduce5, 1, source)
        branches.append(conv(f"inception{name}_5x5", five, 5))
        inner = {"size": 3, "stride": 1, "padding": 1, "ceil": False}
        net.same(f"inception{name}_pool", "maxpool", source, **inner)
        branches.append(conv(f"inception{name}_pool_1x1", behind, 1))
        source = net.concat(f"inception{name}", *branches)
    net.same("pool5", "globalpool")
    net.same("flatten", "flatten")
    net.dense("fc", 1024, 1000)
    return net.items


def mobilenet(seed: int) -> list[Item]:
    """MobileNet v1, 1.0, 224 (Howard et al. 2017): depthwise 3x3 and 1x1 in turns; ReLU."""
    net = Builder(seed)

    def conv(name, outputs, size, stride=1, groups=1):
        net.conv(name, outputs, size, stride=stride, padding=size // 2, groups=groups, bias=False)
        net.batchnorm(f"{name}_bn")
        net.same(f"{name}_relu", "relu")

    conv("conv1", 32, 3, 2)
    widths = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    for number, width in enumerate(widths, 2):
        before = net.channels[net.last]
        conv(f"conv{number}_dw", before, 3, 2 if number in (3, 5, 7, 13) else 1, before)
        conv(f"conv{number}_pw", width, 1)
    net.same("pool", "globalpool")
    net.same("flatten", "flatten")
    net.dense("fc", 1024, 1000)
    return net.items
