"""Make limewash-tiny from rooms of `limewash synthesize`:

    python models/limewash-tiny/recipe/make.py --rooms ROOMS --out models/limewash-tiny
"""

import argparse
import json
import pathlib

import torch

import autoencoder
import denoiser
import measure
import publish
import repaint
import text
import vision
from rooms import read_photos, read_rooms


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", required=True, help="folder of `limewash synthesize`, with repaints")
    parser.add_argument("--out", required=True, help="the model folder")
    parser.add_argument("--photos", help="folder with images/ and masks/ of real photos: measured, never trained on")
    parser.add_argument("--held-out", type=int, default=48, help="rooms that only measure")
    parser.add_argument("--wide-paints", type=int, default=4, help="further paints of each room, of any colour")
    parser.add_argument("--vae-steps", type=int, default=4000)
    parser.add_argument("--decoder-steps", type=int, default=2000, help="of the decoder alone, after the rest of the VAE")
    parser.add_argument("--unet-steps", type=int, default=4000)
    parser.add_argument("--vae", help="take the autoencoder from this model folder instead of training it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="part of the result, as the seed is")
    parser.add_argument("--checkpoint-every", type=int, default=2000, help="UNet steps between written folders")
    return parser.parse_args()


def stack_photos(folder, size):
    photos = read_photos(folder, size)
    return torch.stack([photo[1] for photo in photos]), torch.stack([photo[2] for photo in photos])


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    rooms = read_rooms(options.rooms)
    train, held_out = rooms.slice(0, len(rooms) - options.held_out), rooms.slice(len(rooms) - options.held_out, None)
    train = repaint.wide_paints(train, options.wide_paints, options.seed + 3)
    photos = stack_photos(options.photos, rooms.images.shape[-1]) if options.photos else None
    out = pathlib.Path(options.out)

    def report(vae):
        with torch.no_grad():
            lines = {"rooms": measure.summary(*measure.round_trip(vae, held_out.images, held_out.masks)[:2])}
            if photos:
                lines["photos"] = measure.summary(*measure.round_trip(vae, *photos)[:2])
        return json.dumps(lines)

    print(f"{len(train)} rooms to train on, {len(held_out)} held out", flush=True)
    if options.vae:
        vae = publish.load_part(options.vae, "vae")
    else:
        vae = autoencoder.train(train, options.vae_steps, options.seed, report=report, report_every=1000)
        autoencoder.normalize_latents(vae, train)
        publish.write_part(out, "vae", vae)
        # From here on the weights as they are stored: what the UNet learns from is what is shipped.
        vae = publish.load_part(out, "vae")
        autoencoder.polish(vae, train, options.decoder_steps, options.seed + 10)
        publish.write_part(out, "vae", vae)
        vae = publish.load_part(out, "vae")
    print(f"vae {report(vae)}", flush=True)

    tokenizer = text.write_tokenizer(out / "tokenizer")
    image_encoder = vision.build(options.seed)
    latents = denoiser.encode_rooms(vae, train)
    print(f"latents: deviation {latents.targets.std():.3f}, means {latents.targets.mean((0, 1, 3, 4)).tolist()}", flush=True)

    def write(unet, text_encoder):
        parts = {"unet": unet, "vae": vae, "text_encoder": text_encoder, "image_encoder": image_encoder}
        publish.write_folder(out, parts)
        return publish.check_folder(out)

    unet, text_encoder = denoiser.train(
        latents,
        tokenizer,
        denoiser.build(options.seed),
        text.build(tokenizer, denoiser.CONTEXT),
        options.unet_steps,
        options.seed,
        publish=write,
        publish_every=options.checkpoint_every,
    )
    print(f"parameters {write(unet, text_encoder)}", flush=True)


if __name__ == "__main__":
    main()
