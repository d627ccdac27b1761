"""Finds plugins, checks what they offer, remembers whose they are. The only room that knows pluggy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import pluggy

from forensics import hookspecs
from forensics.errors import ForensicsError, PluginError, told
from forensics.probe import Named, Probe, SketchProbe
from forensics.records import Origin, Problem
from forensics.vetting import check, owner_of, source_digest, version_of

if TYPE_CHECKING:
    from forensics.checkpoint import Checkpoint
    from forensics.checkpoint.layout import Layout
    from forensics.checkpoint.opening import Opening
    from forensics.checkpoint.place import Place

GROUP = "forensics"
HOUSE = "the house"
OURS = "model-forensics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A probe and whose it is."""

    probe: Probe | SketchProbe
    origin: Origin
    skipped: bool = False
    """Whether it takes no part in this case, which is a first look."""

    @property
    def standard(self) -> bool:
        """Whether what can change a reading is as the probe comes, which is as it was calibrated."""
        own, usual = self.probe.parameters(), type(self.probe)().parameters()
        return all(own[name] == usual[name] for name in own if name not in self.probe.limits)


class _House:
    """Our own opener, found like everybody's and asked last."""

    @hookspecs.hookimpl
    def forensics_open(self, location: str, opening: Opening) -> Checkpoint | None:
        """Opens every format and place that we know."""
        from forensics.checkpoint.opening import open_location

        return open_location(location, opening)


class Registry:
    """Every plugin that loaded, what they offer, and the problems of those that did not."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("forensics")
        self._manager.add_hookspecs(hookspecs)
        self._origins: dict[str, Origin] = {}
        self._layouts: list[Layout] = []
        self.problems: list[Problem] = []
        self.probes: dict[str, Offered] = {}

    @classmethod
    def load(cls, *, only_bundled: bool = False) -> Registry:
        """Loads every entry point of the group; a broken plugin becomes a problem. PluginError on equal ids."""
        registry = cls()
        points = [p for p in metadata.entry_points(group=GROUP) if not only_bundled or owner_of(p) == OURS]
        for point in sorted(points, key=lambda p: (owner_of(p) != OURS, owner_of(p), p.name)):
            registry._load_one(point)
        registry._manager.register(_House(), name=HOUSE)
        registry._collect_probes()
        registry._collect_layouts()
        return registry

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Origins of the plugins that loaded, bundled first."""
        return tuple(self._origins.values())

    def readers(self) -> tuple[Origin, ...]:
        """Origins of the plugins that open checkpoints or name their tensors, besides our own openers."""
        hooks = ("forensics_open", "forensics_layouts")
        reading = {where for hook in hooks for where, _ in self._each(hook)}
        return tuple(origin for where, origin in self._origins.items() if where in reading)

    def _problem(self, where: str, code: str, error: BaseException) -> None:
        text = " ".join(f"{type(error).__name__}: {told(error)}".split())[:500]
        self.problems.append(Problem(where=where, code=code, message=text))

    def _load_one(self, point: metadata.EntryPoint) -> None:
        where = f"{owner_of(point)}:{point.name}"[:200]
        try:
            self.register(point.load(), where=where, distribution=owner_of(point), version=version_of(point))
        except (Exception, SystemExit) as error:
            self._problem(where, "PLUGIN_NOT_LOADED", error)

    def register(self, plugin: object, *, where: str, distribution: str, version: str) -> None:
        """Registers one plugin; raises where pluggy refuses it, e.g. a misspelt hook, which is then undone."""
        origin = Origin(
            distribution=distribution,
            version=version,
            sha256=source_digest(plugin),
            bundled=distribution == OURS,
        )
        if self._manager.is_registered(plugin):
            raise PluginError("the same module is offered under another name already")
        try:
            self._manager.register(plugin, name=where)
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise
        if not self._manager.get_hookcallers(plugin):
            self._manager.unregister(plugin)
            raise TypeError("it offers nothing: no function of it carries @hookimpl")
        self._origins[where] = origin

    def _each(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """(plugin, function) of every implementation, in order of registration, so that one cannot stop the rest."""
        found = [
            (impl.plugin_name, impl.function) for impl in getattr(self._manager.hook, hook).get_hookimpls()
        ]
        order = [*self._origins, HOUSE]
        return sorted(found, key=lambda item: order.index(item[0]))

    def _collect_probes(self) -> None:
        for where, offer in self._each("forensics_probes"):
            try:
                offered = list(offer())
                for probe in offered:
                    check(probe)
            except (Exception, SystemExit) as error:
                self._problem(where, "PLUGIN_NOT_LOADED", error)
                continue
            for probe in offered:
                self._add(probe, self._origins[where])

    def _collect_layouts(self) -> None:
        for where, offer in self._each("forensics_layouts"):
            from forensics.checkpoint.layout import layout_from

            try:
                self._layouts += [layout_from(raw) for raw in offer()]
            except (Exception, SystemExit) as error:
                self._problem(where, "PLUGIN_FAILED", error)

    def _add(self, probe: Probe | SketchProbe, origin: Origin) -> None:
        if probe.id in self.probes:
            other = self.probes[probe.id].origin.distribution
            raise PluginError(
                f"two probes are called {probe.id}: one from {other}, one from {origin.distribution}",
                "uninstall one of them, or give --only-bundled",
            )
        self.probes[probe.id] = Offered(probe=probe, origin=origin)

    def chosen(
        self, ids: tuple[str, ...], parameters: Mapping[str, str | int], *, quick: bool = False
    ) -> dict[str, Offered]:
        """The probes of these ids (all where none are named), with fields of that name set to `parameters`.

        For a first look (`quick`) each is as it takes part in one; what cannot is marked as `skipped`.
        """
        unknown = [i for i in ids if i not in self.probes]
        if unknown:
            raise PluginError(f"no probe is called {', '.join(unknown)}", "`forensics probes` lists them")
        wanted = {name: offered for name, offered in self.probes.items() if not ids or name in ids}
        return {
            name: _hurried(replace(o, probe=_with(o.probe, parameters)), quick=quick)
            for name, o in wanted.items()
        }

    def open(
        self, location: str, label: str, *, base: str = "", places: Mapping[str, Place] | None = None
    ) -> Checkpoint:
        """The first plugin's checkpoint for this location, else that of our own opener, which is asked last.

        `places` holds, by location, what is not on this machine.
        """
        from forensics.checkpoint.layout import bundled_layouts
        from forensics.checkpoint.opening import Opening

        layouts = (*self._layouts, *bundled_layouts())
        opening = Opening(label=label, layouts=layouts, base=base, places=places or {})
        for where, opener in self._each("forensics_open"):
            try:
                checkpoint = _told_what_it_asks(opener, location=location, opening=opening)
            except ForensicsError:
                raise
            except (Exception, SystemExit) as error:
                self._problem(where, "PLUGIN_FAILED", error)
                continue
            if checkpoint is not None:
                return cast("Checkpoint", checkpoint)
        raise PluginError("nobody opens checkpoints here")

    def _gathered(self, hook: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for where, offer in self._each(hook):
            try:
                found += list(offer())
            except (Exception, SystemExit) as error:
                self._problem(where, "PLUGIN_FAILED", error)
        return found

    def calibrations(self) -> list[Mapping[str, Any]]:
        """Calibrations that plugins offer, as plain JSON."""
        return self._gathered("forensics_calibrations")

    def notify(self, hook: str, **facts: Any) -> None:
        """Tells every observer; one that raises becomes a problem, once."""
        for where, observer in self._each(hook):
            try:
                _told_what_it_asks(observer, **facts)
            except Exception as error:
                if not any(p.where == where and p.code == "OBSERVER_FAILED" for p in self.problems):
                    self._problem(where, "OBSERVER_FAILED", error)


def _told_what_it_asks(function: Callable[..., Any], **facts: Any) -> Any:
    """Calls a hook implementation with those arguments that it names, as pluggy does."""
    wanted = inspect.signature(function).parameters
    return function(**{name: value for name, value in facts.items() if name in wanted})


def _hurried(offered: Offered, *, quick: bool) -> Offered:
    """The probe as it takes part in a first look, where that is asked for."""
    if not quick:
        return offered
    probe = offered.probe.first_look() if isinstance(offered.probe, SketchProbe) else None
    return replace(offered, skipped=True) if probe is None else replace(offered, probe=probe)


def _with(probe: Probe | SketchProbe, parameters: Mapping[str, str | int]) -> Probe | SketchProbe:
    known = {f.name for f in fields(cast("Any", probe))}
    changed = {name: value for name, value in parameters.items() if name in known}
    return replace(probe, **changed) if changed else probe


__all__ = ["Named", "Offered", "Registry", "check"]
