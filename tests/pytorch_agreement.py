#!/usr/bin/env python3
"""pytorch_agreement.py [FOLDER]: runs FOLDER's ONNX models (NAME.onnx) in PyTorch, for inference and for one training step, and compares
with what test_pytorch.c wrote beside them (NAME.ours, safetensors): probabilities, loss, every gradient, running means and variances.

PyTorch computes in float64, so that a difference is the other side's. The error of a tensor is max |ours - PyTorch's| / max |PyTorch's|; a
gradient below 1e-9 of the network's largest is a zero (a bias before batch normalisation) and is seen relative to the largest.

The gradient jumps where the input of a ReLU is zero. One that is nearer to zero than float32 can tell (1e-5 of its layer's root mean
square) may be on either side: if gradients differ, those are tried on the other side, one after another, and counted in the report.
Exit status: 0 if every error is at most 1e-4, 1 if not, 77 if PyTorch or ONNX is missing. Without FOLDER: only whether they are there."""
import importlib.util
import json
import pathlib
import struct
import sys

if not all(importlib.util.find_spec(name) for name in ("torch", "onnx", "numpy")):
    sys.exit(77)
if len(sys.argv) < 2:
    sys.exit(0)

import numpy
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F

TOLERANCE = 1e-4
NEAR_ZERO, MOST_NEAR = 1e-5, 24  # of ReLUs' inputs


def read_ours(path):
    """A safetensors file of float32: tensors by name, and the metadata."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = numpy.frombuffer(data[begin:end], "<f4").astype(numpy.float64)
    return tensors, metadata


class Model:
    """An ONNX model as our exporter writes them, executed node by node by PyTorch's own operators."""

    def __init__(self, path):
        model = onnx.load(path)
        onnx.checker.check_model(model)
        self.graph = model.graph
        self.constants = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in self.graph.initializer}
        self.parameters = {
            name: value.double() for name, value in self.constants.items() if value.is_floating_point()
        }
        self.other_side = {}  # ReLUs: indices of elements that are taken on the other side of zero

    def run(self, x, masks=None):
        """Fills values. masks: dropout's factors by layer, for a training step; None: inference."""
        self.training = masks is not None
        self.masks = masks
        self.scores = {}  # what each softmax reads
        self.states = {}  # running means and variances after a training step
        self.near = []  # the elements nearest to zero: distance, ReLU, index
        self.values = {**self.constants, **self.parameters, self.graph.input[0].name: x}
        for node in self.graph.node:
            inputs = [self.values[name] if name else None for name in node.input]
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            self.values[node.output[0]] = getattr(self, node.op_type)(node, attributes, *inputs)
        return self.values[self.graph.output[0].name]

    def Conv(self, node, a, x, weight, bias=None):
        top, left, bottom, right = a["pads"]
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, weight, bias, a["strides"], 0, a["dilations"], a["group"])

    def Gemm(self, node, a, x, weight, bias=None):
        assert a["transB"] == 1
        return F.linear(x, weight, bias)

    def MaxPool(self, node, a, x):
        return F.max_pool2d(x, a["kernel_shape"], a["strides"], a["pads"][:2], 1, bool(a["ceil_mode"]))

    def AveragePool(self, node, a, x):
        pad, ceil, border = a["pads"][:2], bool(a["ceil_mode"]), bool(a["count_include_pad"])
        return F.avg_pool2d(x, a["kernel_shape"], a["strides"], pad, ceil, border)

    def GlobalAveragePool(self, node, a, x):
        return F.adaptive_avg_pool2d(x, 1)

    def BatchNormalization(self, node, a, x, scale, bias, mean, var):
        mean, var = mean.clone(), var.clone()
        self.states[node.input[3]], self.states[node.input[4]] = mean, var
        return F.batch_norm(x, mean, var, scale, bias, self.training, 1 - a["momentum"], a["epsilon"])

    def LRN(self, node, a, x):
        return F.local_response_norm(x, a["size"], a["alpha"], a["beta"], a["bias"])

    def Dropout(self, node, a, x, rate):
        return x * self.masks[node.output[0]].reshape(x.shape) if self.training else x

    def Softmax(self, node, a, x):
        self.scores[node.output[0]] = x
        return F.softmax(x, a["axis"])

    def Concat(self, node, a, *inputs):
        return torch.cat(inputs, a["axis"])

    def Flatten(self, node, a, x):
        return torch.flatten(x, a["axis"])

    def Unsqueeze(self, node, a, x, axes):
        for axis in axes.tolist():
            x = x.unsqueeze(axis)
        return x

    def Pad(self, node, a, x, pads, value=None):
        assert a.get("mode", b"constant") == b"constant"
        begin, end = pads.tolist()[: x.dim()], pads.tolist()[x.dim() :]
        sides = [side for axis in reversed(range(x.dim())) for side in (begin[axis], end[axis])]
        return F.pad(x, sides, value=0.0 if value is None else value.item())

    def Identity(self, node, a, x):
        return x

    def Add(self, node, a, x, y):
        return x + y

    def Mul(self, node, a, x, y):
        return x * y

    def Relu(self, node, a, x):
        name, flat = node.output[0], x.detach().ravel()
        distance = flat.abs() / flat.square().mean().sqrt()
        self.near += [(distance[i].item(), name, i) for i in (distance < NEAR_ZERO).nonzero().ravel().tolist()]
        positive = x > 0
        for i in self.other_side.get(name, ()):
            positive.view(-1)[i] ^= True
        return x * positive

    def LeakyRelu(self, node, a, x):
        return F.leaky_relu(x, a["alpha"])

    def Elu(self, node, a, x):
        return F.elu(x, a["alpha"])

    def Sigmoid(self, node, a, x):
        return torch.sigmoid(x)

    def Tanh(self, node, a, x):
        return torch.tanh(x)


def error_of(ours, theirs, floor=0.0, largest=0.0):
    """floor: what counts as zero, beside largest."""
    theirs = theirs.detach().numpy().ravel()
    if ours.shape != theirs.shape:
        return float("inf")
    scale, difference = abs(theirs).max(), abs(ours - theirs).max()
    scale = scale if scale > floor else largest
    return difference / scale if scale > 0 else 0.0 if difference == 0 else float("inf")


class Step:
    """A training step of PyTorch beside ours."""

    def __init__(self, model, x, ours, weights):
        """weights: of the losses, by their outputs."""
        self.model, self.x, self.ours, self.weights = model, x, ours, weights
        self.labels = torch.from_numpy(ours["labels"]).long()
        self.masks = {name[5:]: torch.from_numpy(value) for name, value in ours.items() if name.startswith("mask:")}
        self.trained = [name[9:] for name in ours if name.startswith("gradient:")]
        for name in self.trained:
            model.parameters[name].requires_grad_(True)

    def loss_of(self, name):
        """Cross-entropy behind a softmax, else squared error."""
        if name in self.model.scores:
            return F.cross_entropy(self.model.scores[name], self.labels)
        return F.mse_loss(self.model.values[name].ravel(), torch.from_numpy(self.ours["targets:" + name]))

    def run(self):
        """The errors of the gradients by parameter."""
        self.model.run(self.x, self.masks)
        loss = sum(float(weight) * self.loss_of(name) for name, weight in self.weights.items())
        self.loss = loss.detach()
        parameters = [self.model.parameters[name] for name in self.trained]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients)]
        largest = max(abs(gradient).max().item() for gradient in gradients)
        return {
            name: error_of(self.ours["gradient:" + name], gradient, 1e-9 * largest, largest)
            for name, gradient in zip(self.trained, gradients)
        }

    def run_on_either_side(self):
        """The same, with ReLUs on the side of zero that agrees best."""
        errors = self.run()
        for _, relu, index in sorted(self.model.near)[:MOST_NEAR]:
            if max(errors.values()) <= TOLERANCE:
                break
            chosen = self.model.other_side.setdefault(relu, [])
            chosen.append(index)
            other = self.run()
            if sum(e * e for e in other.values()) < sum(e * e for e in errors.values()):
                errors = other
            else:
                chosen.pop()
        return errors


def compare(path):
    """One line, and whether all is well."""
    ours, weights = read_ours(path.with_suffix(".ours"))
    model = Model(path)
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    x = torch.from_numpy(ours["input"]).reshape([-1] + dims)
    errors = {"output": error_of(ours["output"], model.run(x))}
    step = Step(model, x, ours, weights)
    gradients = step.run_on_either_side()
    errors["loss"] = error_of(ours["loss"], step.loss)
    worst = max(gradients, key=lambda name: gradients[name] if gradients[name] <= 1e9 else float("inf"))
    errors["gradients"] = gradients[worst]
    states = [error_of(ours["state:" + name], value) for name, value in model.states.items()]
    if states:
        errors["running statistics"] = max(states)
    good = all(error <= TOLERANCE for error in errors.values())
    text = ", ".join(f"{what} {error:.1e}" for what, error in errors.items())
    flips = sum(len(chosen) for chosen in model.other_side.values())
    note = f", {flips} of {len(model.near)} ReLUs at zero on the other side" if flips else ""
    print(f"    {path.stem}: {text} (worst: {worst}){note}{'' if good else ': DISAGREES'}", flush=True)
    return good



torch.set_num_threads(1)
sys.exit(0 if all([compare(path) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))]) else 1)
