"""What software that rules ask about is known by, from `data/known_software.toml`."""

import datetime as dt
from importlib.resources import files

import msgspec


class KnownSoftware(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Names and ports of software. Images and Services are patterns; ports are numbers as text, with what listens there."""

    as_of: dt.date
    console_images: tuple[str, ...]
    console_services: tuple[str, ...]
    console_ports: dict[str, str]
    ingress_controllers: tuple[str, ...]
    nginx_controllers: tuple[str, ...]
    web_firewalls: tuple[str, ...]
    image_scanners: tuple[str, ...]


KNOWN = msgspec.toml.decode(
    files("aks_audit_rules").joinpath("data/known_software.toml").read_bytes(), type=KnownSoftware
)
