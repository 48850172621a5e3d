"""The mask classifier: clean, noisy or bad, from a photo and its wall mask at 128 x 128 pixels.

A dense head guesses, in 16 x 16 cells, which part of the mask is no wall and where wall was missed; the shares that
follow go into the classifier beside pooled features. It is what makes so small a network learn from few rooms.
"""

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = ("clean", "noisy", "bad")
CLEAN_IOU, NOISY_IOU = 0.95, 0.7
SIZE = 128
CHANNELS = (16, 32, 64, 96)
EPSILON = 1e-3


def classes_of(ious):
    """0: clean, 1: noisy, 2: bad."""
    return (ious < CLEAN_IOU).long() + (ious < NOISY_IOU).long()


def scale(pictures):
    """[N, C, H, W] in [0, 1] to 128 x 128: means of areas, bilinear where a side grows."""
    if pictures.shape[-2] < SIZE or pictures.shape[-1] < SIZE:
        height, width = max(pictures.shape[-2], SIZE), max(pictures.shape[-1], SIZE)
        pictures = F.interpolate(pictures, (height, width), mode="bilinear", align_corners=False)
    return F.adaptive_avg_pool2d(pictures, SIZE)


class Convolution(nn.Module):
    """3 x 3 with batch normalisation, which `fold` multiplies into the weights for good."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))

    @torch.no_grad()
    def fold(self):
        factor = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        self.conv.weight *= factor.view(-1, 1, 1, 1)
        self.conv.bias.copy_((self.conv.bias - self.norm.running_mean) * factor + self.norm.bias)
        self.norm = nn.Identity()


class MaskQualityNet(nn.Module):
    def __init__(self):
        super().__init__()
        first, second, third, last = CHANNELS
        self.stem = Convolution(4, first, 2)
        self.down1 = Convolution(first, second, 2)
        self.conv1 = Convolution(second, second)
        self.down2 = Convolution(second, third, 2)
        self.block1 = Convolution(third, third)
        self.block2 = Convolution(third, third)
        self.context = nn.Linear(2 * third, third)
        self.mix = nn.Conv2d(third, third, 1)
        self.errors = nn.Conv2d(third, 2, 1)
        self.down3 = Convolution(third, last, 2)
        self.hidden = nn.Linear(last + 4, 32)
        self.classes = nn.Linear(32, len(CLASSES))

    def forward(self, photo, mask):
        """photo [N, 3, 128, 128] and mask [N, 1, 128, 128] in [0, 1] -> logits of the classes [N, 3], logits of
        the errors [N, 2, 16, 16]: no wall inside of the mask, wall outside."""
        x = torch.cat([(photo - 0.5) * 4, mask * 2 - 1], 1)
        x = F.relu(self.stem(x))  # [N, 16, 64, 64]
        x = F.relu(self.conv1(F.relu(self.down1(x))))  # [N, 32, 32, 32]
        x = F.relu(self.down2(x))  # [N, 64, 16, 16]
        x = F.relu(x + self.block2(F.relu(self.block1(x))))
        inside = F.avg_pool2d(mask, SIZE // x.shape[-1])  # [N, 1, 16, 16]
        area = inside.sum((2, 3))  # [N, 1]
        within = (x * inside).sum((2, 3)) / (area + EPSILON)
        context = self.context(torch.cat([within, x.mean((2, 3))], 1))
        errors = self.errors(F.relu(self.mix(x) + context[:, :, None, None]))
        wrong = (torch.sigmoid(errors[:, :1]) * inside).sum((2, 3))
        missed = (torch.sigmoid(errors[:, 1:]) * (1 - inside)).sum((2, 3))
        shares = torch.cat(
            [
                wrong / (area + EPSILON),
                missed / (area + missed + EPSILON),
                (area - wrong) / (area + missed + EPSILON),
                inside.mean((2, 3)),
            ],
            1,
        )
        pooled = F.relu(self.down3(x)).mean((2, 3))  # [N, 96]
        hidden = F.relu(self.hidden(torch.cat([pooled, shares], 1)))
        return self.classes(hidden), errors

    def fold(self):
        for module in self.modules():
            if isinstance(module, Convolution):
                module.fold()


def score_of(logits):
    """p(clean) + p(noisy) / 2, [N]."""
    probabilities = logits.softmax(1)
    return probabilities[:, 0] + probabilities[:, 1] / 2
