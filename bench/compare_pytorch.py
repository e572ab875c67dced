#!/usr/bin/env python3
"""Whole networks, Tessera beside PyTorch: time of a step, images a second and peak memory, on the CPU.

usage: compare_pytorch.py [--nets a,b] [--modes train,infer] [--batch 8] [--rounds 15] [--threads 2]
                          [--bench build/bin/tessera-bench] [--device TEXT] [--memory SIZE] [--json FILE]

The networks are the zoo's: resnet18, vgg16, alexnet, googlenet, resnet50, layer by layer the same in plain PyTorch (local response
normalisation, dropout and auxiliary classifiers included). A training step is forward, backward and SGD with momentum 0.9; an
inference is a forward pass in evaluation mode without gradients.

For each network and mode three processes live side by side: `tessera-bench net --paced`, PyTorch with its default layout, and
PyTorch with channels_last. Each waits for a line before it takes a step, so that steps alternate: ours, theirs, theirs, ours ... A
pause before each lets the other's threads go to sleep. Printed: medians, their median absolute deviation, and PyTorch's
better layout over ours, as the median of the ratios of steps that were neighbours. Both sides take --threads threads (ours: PoCL's
POCL_MAX_PTHREAD_COUNT).

On a virtual machine the host may keep processor time back ("stolen" in the last column, Linux only). PyTorch splits its loops evenly
and waits for the slowest thread, so that stolen time costs it more: a run with --threads 1 beside it shows by how much.

Memory: ours is device_bytes_peak, every buffer that Tessera ever had on the device at once. PyTorch's is the growth of the process's
peak resident set (VmHWM) from just before the network is made to the end; it keeps no count of its own on CPUs.

Needs numpy and torch (distribution's packages), and a tuned database for the speed of a tuned Tessera (TESSERA_DB). A peer for
benchmarks, never a dependency of Tessera.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

NETS = ["resnet18", "vgg16", "alexnet", "googlenet", "resnet50"]
SIDE = {"alexnet": 227}

# ------------------------------------------------------------------ the networks, in the peer's process


def alexnet(nn):
    def norm():
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(True), norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), nn.ReLU(True), nn.Dropout(0.5),
        nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(4096, 1000))


def vgg16(nn):
    layers, channels = [], 3
    for filters, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(True)]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(25088, 4096), nn.ReLU(True), nn.Dropout(0.5),
                         nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(4096, 1000))


def resnet(nn, depths, bottleneck):
    import torch

    class Block(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            outputs = 4 * width if bottleneck else width
            shapes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)] if bottleneck \
                else [(inputs, width, 3, stride), (width, width, 3, 1)]
            self.convs = nn.ModuleList(nn.Conv2d(c, k, r, u, r // 2, bias=False) for c, k, r, u in shapes)
            self.norms = nn.ModuleList(nn.BatchNorm2d(k) for _, k, _, _ in shapes)
            self.short = nn.Identity()
            if stride != 1 or inputs != outputs:
                self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = x
            for conv, norm in zip(self.convs[:-1], self.norms[:-1]):
                y = torch.relu_(norm(conv(y)))
            return torch.relu_(self.norms[-1](self.convs[-1](y)).add_(self.short(x)))

    blocks, inputs = [], 64
    for stage, depth in enumerate(depths):
        for i in range(depth):
            blocks.append(Block(inputs, 64 << stage, 2 if stage and i == 0 else 1))
            inputs = (64 << stage) * (4 if bottleneck else 1)
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1),
                         *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def googlenet(nn):
    import torch

    def conv(c, k, r, u=1):
        return nn.Sequential(nn.Conv2d(c, k, r, u, r // 2), nn.ReLU(True))

    class Inception(nn.Module):
        def __init__(self, c, one, three_reduce, three, five_reduce, five, pool):
            super().__init__()
            self.branches = nn.ModuleList([
                conv(c, one, 1), nn.Sequential(conv(c, three_reduce, 1), conv(three_reduce, three, 3)),
                nn.Sequential(conv(c, five_reduce, 1), conv(five_reduce, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(c, pool, 1))])
            self.outputs = one + three + five + pool

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.branches], 1)

    class GoogLeNet(nn.Module):
        def __init__(self):
            super().__init__()
            def norm():
                return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1)
            halve = nn.MaxPool2d(3, 2, ceil_mode=True)
            parts = [conv(3, 64, 7, 2), halve, norm(), conv(64, 64, 1), conv(64, 192, 3), norm(), halve]
            channels, self.aux_after, self.aux = 192, [], nn.ModuleList()
            modules = ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (192, 96, 208, 16, 48, 64),
                       (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
                       (256, 160, 320, 32, 128, 128), (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128))
            for i, module in enumerate(modules):
                parts.append(Inception(channels, *module))
                channels = parts[-1].outputs
                if i in (2, 5):
                    self.aux_after.append(len(parts) - 1)
                    self.aux.append(nn.Sequential(
                        nn.AvgPool2d(5, 3), conv(channels, 128, 1), nn.Flatten(), nn.Linear(2048, 1024), nn.ReLU(True),
                        nn.Dropout(0.7), nn.Linear(1024, 1000)))
                if i in (1, 6):
                    parts.append(halve)
            self.parts = nn.ModuleList(parts)
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(channels, 1000))

        def forward(self, x):
            outputs = []
            for i, part in enumerate(self.parts):
                x = part(x)
                if self.training and i in self.aux_after:
                    outputs.append(self.aux[len(outputs)](x))
            return [self.head(x), *outputs] if self.training else self.head(x)

    return GoogLeNet()


def build(nn, name):
    return {"alexnet": alexnet, "vgg16": vgg16, "googlenet": googlenet,
            "resnet18": lambda nn: resnet(nn, (2, 2, 2, 2), False),
            "resnet50": lambda nn: resnet(nn, (3, 4, 6, 3), True)}[name](nn)


# ------------------------------------------------------------------ the peer's process


def status_bytes(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return 1024 * int(line.split()[1])
    return 0


def serve(name, mode, layout, batch, threads):
    """A step for each line of standard input; a JSON line each: ms, peak_bytes."""
    import torch
    from torch import nn
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 8, 8))  # what the library allocates once
    before = status_bytes("VmRSS")
    net = build(nn, name)
    side = SIDE.get(name, 224)
    x, labels = torch.rand(batch, 3, side, side) * 2 - 1, torch.arange(batch)
    if layout == "channels_last":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    net.train(mode == "train")

    def step():
        if mode == "infer":
            with torch.inference_mode():
                net(x).softmax(1)
            return
        optimizer.zero_grad(set_to_none=True)
        outputs = net(x)
        if isinstance(outputs, list):
            loss_of(outputs[0], labels).add(sum(loss_of(o, labels) for o in outputs[1:]), alpha=0.3).backward()
        else:
            loss_of(outputs, labels).backward()
        optimizer.step()

    for _ in range(3):
        step()
    print(json.dumps({"ready": True, "parameters": sum(p.numel() for p in net.parameters())}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        ms = 1e3 * (time.perf_counter() - start)
        print(json.dumps({"ms": ms, "peak_bytes": status_bytes("VmHWM") - before}), flush=True)


# ------------------------------------------------------------------ the comparison


class Worker:
    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ms, self.peak = [], 0

    def reply(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("compare_pytorch: %s ended" % " ".join(self.process.args))
            if line.startswith("{"):
                return json.loads(line)

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        row = self.reply()
        self.ms.append(row["ms"])
        self.peak = max(self.peak, row.get("peak_bytes", row.get("device_bytes_peak", 0)))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()


def spread(values):
    middle = statistics.median(values)
    return middle, statistics.median([abs(v - middle) for v in values])


def processor_ticks():
    """(ticks in which this machine's processors worked or were wanted, those of them that the host kept back); None if not Linux."""
    try:
        with open("/proc/stat") as stat:
            ticks = [int(word) for word in stat.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    idle, stolen = ticks[3] + ticks[4], ticks[7]
    return sum(ticks) - idle, stolen


def compare(args, name, mode):
    ours = [args.bench] + (["--device", args.device] if args.device else [])
    ours += ["net", "--net", name, "--batch", str(args.batch), "--mode", mode, "--paced"]
    ours += ["--memory", args.memory] if args.memory else []
    peer = [sys.executable, __file__, "--threads", str(args.threads), "--batch", str(args.batch), "--serve"]
    workers = {"tessera": Worker(ours, dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(args.threads)))}
    for layout in ("default", "channels_last"):
        workers[layout] = Worker(peer + [name, mode, layout])
    for worker in workers.values():
        worker.reply()
    before = processor_ticks()
    for _ in range(args.rounds):
        for worker in workers.values():
            time.sleep(args.pause)
            worker.step()
    after = processor_ticks()
    for worker in workers.values():
        worker.close()
    better = min(("default", "channels_last"), key=lambda layout: statistics.median(workers[layout].ms))
    row = {"net": name, "mode": mode, "batch": args.batch, "layout": better}
    for key, worker in (("tessera", workers["tessera"]), ("pytorch", workers[better])):
        row[key + "_ms"], row[key + "_ms_mad"] = spread(worker.ms)
        row[key + "_images_per_s"] = 1e3 * args.batch / row[key + "_ms"]
        row[key + "_peak_bytes"] = worker.peak
    row["ratio"], row["ratio_mad"] = spread([b / a for a, b in zip(workers["tessera"].ms, workers[better].ms)])
    row["threads"] = args.threads
    if before and after and after[0] > before[0]:
        row["stolen_share"] = (after[1] - before[1]) / (after[0] - before[0])
    row["memory_ratio"] = row["tessera_peak_bytes"] / max(row["pytorch_peak_bytes"], 1)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--modes", default="train,infer")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pause", type=float, default=0.05, help="seconds before each step")
    parser.add_argument("--bench", default="build/bin/tessera-bench")
    parser.add_argument("--device")
    parser.add_argument("--memory", metavar="SIZE", help="Tessera's limit of device memory, such as 121M")
    parser.add_argument("--json", help="append one JSON object a line")
    parser.add_argument("--serve", nargs=3, metavar=("NET", "MODE", "LAYOUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(*args.serve, args.batch, args.threads)
    print("net        mode   Tessera ms           images/s  peak MiB  PyTorch ms           images/s  peak MiB  layout"
          "         speed of Tessera  stolen")
    for name in args.nets.split(","):
        for mode in args.modes.split(","):
            row = compare(args, name, mode)
            print("%-10s %-5s %9.2f +- %-7.2f %9.1f %9.0f %10.2f +- %-7.2f %9.1f %9.0f  %-13s %5.2f +- %-8.2f %s" % (
                name, mode, row["tessera_ms"], row["tessera_ms_mad"], row["tessera_images_per_s"],
                row["tessera_peak_bytes"] / 2**20, row["pytorch_ms"], row["pytorch_ms_mad"],
                row["pytorch_images_per_s"], row["pytorch_peak_bytes"] / 2**20, row["layout"], row["ratio"],
                row["ratio_mad"], "%.0f %%" % (100 * row["stolen_share"]) if "stolen_share" in row else "?"), flush=True)
            if args.json:
                with open(args.json, "a") as out:
                    out.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
