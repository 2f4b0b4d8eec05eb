"""The installed packages that a target depends on: by distribution and version, whether they count or are
only imported by files that are shipped."""

from .module import Module
from .stdlib import BUILT_IN, MODULES
from .units import warning


def of_reach(reach):
    """([{name, version, modules, counts}] sorted, warnings)."""
    owners, rows, warnings = {}, {}, []
    for dotted, module, node, counts in wanted(reach):
        parts = dotted.split(".")
        if parts[0] in MODULES or parts[0] in BUILT_IN:
            continue
        key = tuple(parts[:4])
        if key not in owners:
            owners[key] = reach.finder.installed.owner(parts) if parts[0] else None
        owner = owners[key]
        if owner is None:
            if counts:
                warnings.append(warning(module, "import-not-found", parts[0] or dotted, "the module %s is not "
                                        "found: if it is there when the code runs, it does not count (is its "
                                        "folder a root?)" % (parts[0] or dotted), node))
            continue
        name, version = owner
        if (name is None or version is None) and counts:
            warnings.append(warning(module, "package-without-version", parts[0], "nothing says which version "
                                    "of %s is installed: only its name counts" % (name or parts[0]), node))
        row = rows.setdefault((name or parts[0], version or ""), {
            "name": name or parts[0], "version": version, "modules": set(), "counts": False})
        row["modules"].add(parts[0])
        row["counts"] |= counts
    found = [rows[key] for key in sorted(rows)]
    for row in found:
        row["modules"] = sorted(row["modules"])
    return found, warnings


def wanted(reach):
    """(dotted, module, node, counts) of everything outside, what counts first."""
    for unit in reach.owner:
        for target, node in unit.externals.values():
            yield target.dotted, unit.module, node, True
    script = reach.entry.module if reach.entry.kind == "script" else None
    for module in reach.modules.values():
        for dotted, _, node in module.loads:
            modules = reach.finder.modules  # of a package of the user's no file is read that is not imported
            if not isinstance(modules.get(dotted), Module) and \
                    not isinstance(modules.get(dotted.rpartition(".")[0]), Module) and \
                    reach.finder.find(dotted) == "external":
                yield dotted, module, node, module is script
