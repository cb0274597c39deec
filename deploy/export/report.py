"""``python -m deploy.export.report NAME``: what each layer of an architecture costs.

Multiply-adds and parameters as the MobileNet paper counts them: of convolutions and fully
connected layers; batch norm is left out, because it is folded into the convolution before it.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from deploy.export import ExportError, check_installed

# The modules that build them. They import TensorFlow.
_BUILDERS = ("mobilenet_v1", "ssd_mobilenet_v1", "ssd_mobilenet_v1_38")


class Cost(NamedTuple):
    """One layer's cost.

    output: (height, width, channels), or (classes,) of a fully connected layer.
    separable: for a pointwise layer, what the whole depthwise-separable block costs.
    standard: and what the standard 3x3 convolution would that the block stands for.
    """

    name: str
    output: tuple[int, ...]
    multiply_adds: int
    parameters: int
    separable: int = 0
    standard: int = 0
    standard_parameters: int = 0


def costs(model: Any) -> list[Cost]:
    """The cost of every layer of a Keras model that multiplies, in order."""
    found: list[Cost] = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in ("Conv2D", "DepthwiseConv2D", "Dense"):
            continue
        output = tuple(int(size) for size in layer.output.shape[1:])
        weights = int(layer.kernel.shape.num_elements())
        cells = output[0] * output[1] if len(output) == 3 else 1
        cost = Cost(layer.name, output, cells * weights, int(layer.count_params()))
        if layer.name.endswith("_pointwise"):
            around = found[-1].multiply_adds
            cost = cost._replace(
                separable=around + cost.multiply_adds,
                standard=9 * cost.multiply_adds,
                standard_parameters=9 * cost.parameters,
            )
        found.append(cost)
    return found


def table(found: Sequence[Cost]) -> str:
    """The costs as text: a line a layer, the totals, and the saving of separable convolutions."""
    lines = [
        f"{'layer':42}{'output':>14}{'multiply-adds':>15}{'parameters':>12}  of a standard one"
    ]
    for cost in found:
        saving = f"  {cost.separable / cost.standard:.1%}" if cost.standard else ""
        shape = "x".join(map(str, cost.output))
        lines.append(
            f"{cost.name:42}{shape:>14}{cost.multiply_adds:15,}{cost.parameters:12,}{saving}"
        )
    multiply_adds, parameters = totals(found)
    standard, standard_parameters = standard_totals(found)
    lines += [
        f"{'total':56}{multiply_adds:15,}{parameters:12,}",
        f"{'with standard convolutions for the blocks':56}{standard:15,}{standard_parameters:12,}",
        f"depthwise-separable: {standard / multiply_adds:.1f} times fewer multiply-adds, "
        f"{standard_parameters / parameters:.1f} times fewer parameters",
    ]
    return "\n".join(lines)


def totals(found: Sequence[Cost]) -> tuple[int, int]:
    """Multiply-adds and parameters of all layers."""
    return sum(cost.multiply_adds for cost in found), sum(cost.parameters for cost in found)


def standard_totals(found: Sequence[Cost]) -> tuple[int, int]:
    """The same with every depthwise-separable block replaced by one standard 3x3 convolution."""
    kept = [cost for cost in found if not cost.name.endswith("_depthwise")]
    return (
        sum(cost.standard or cost.multiply_adds for cost in kept),
        sum(cost.standard_parameters or cost.parameters for cost in kept),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.export.report", description=__doc__)
    parser.add_argument("name", choices=_BUILDERS)
    name = parser.parse_args().name
    try:
        check_installed()
    except ExportError as error:
        sys.exit(f"error: {error}")
    print(table(costs(import_module(f"deploy.export.{name}").build())))


if __name__ == "__main__":
    main()
