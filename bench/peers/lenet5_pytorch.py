#!/usr/bin/env python3
"""LeNet-5 (ReLU, max pooling) on MNIST in PyTorch: what `tessera train lenet5-relu` is compared with.

usage: lenet5_pytorch.py DIR [--epochs N]      DIR holds t10k-images-idx3-ubyte.gz and its labels

The same network, split, batches and schedule as

    tessera train lenet5-relu --data mnist:DIR --val-last 2000 --epochs N --batch 64 --lr 0.05
            --lr-step 3:0.5 --momentum 0.9

Prints one JSON object an epoch: epoch, val_acc (percent), seconds (training alone). A peer for benchmarks, never a
dependency of Tessera.
"""
import argparse
import gzip
import json
import struct
import time

import numpy as np
import torch
from torch import nn


def read_idx(path):
    data = gzip.open(path).read()
    rank = data[3]
    shape = struct.unpack(">" + "I" * rank, data[4:4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    images = read_idx(args.dir + "/t10k-images-idx3-ubyte.gz")
    labels = read_idx(args.dir + "/t10k-labels-idx1-ubyte.gz")
    x = torch.from_numpy((images.astype(np.float32) / 255 - 0.1307) / 0.3081).unsqueeze(1)
    y = torch.from_numpy(labels.astype(np.int64))
    train, val = slice(0, 8000), slice(8000, 10000)

    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)
    loss_of = nn.CrossEntropyLoss()

    for epoch in range(args.epochs):
        order = torch.randperm(8000)
        start = time.perf_counter()
        for first in range(0, 8000, 64):
            rows = order[first:first + 64]
            optimizer.zero_grad()
            loss_of(net(x[train][rows]), y[train][rows]).backward()
            optimizer.step()
        seconds = time.perf_counter() - start
        schedule.step()
        with torch.no_grad():
            correct = (net(x[val]).argmax(1) == y[val]).float().mean().item()
        print(json.dumps({"epoch": epoch + 1, "val_acc": round(100 * correct, 2),
                          "seconds": round(seconds, 3)}), flush=True)


if __name__ == "__main__":
    main()
