"""manifests.py - the manifests of packaging/ by what the documents of Arduino
("Library specification"), PlatformIO ("library.json"), ESP-IDF ("idf_component.yml")
and Zephyr ("Modules") ask of them. Prints what is wrong, exits with 1 then."""
import json
import os
import re
import sys

SEMVER = r"\d+\.\d+\.\d+"
# field: (pattern of the value, longest); none but these is used.
PLATFORMIO = {
    "name": (r"[a-z0-9]+(-[a-z0-9]+)*", 50), "version": (SEMVER, 20), "description": (r".+", 255),
    "license": (r".+", 100), "frameworks": (r"\*", 1), "platforms": (r"\*", 1),
    "headers": (r"[\w.]+\.h", 100),
}
CATEGORIES = ("Display|Communication|Signal Input/Output|Sensors|Device Control|Timing|"
              "Data Storage|Data Processing|Other|Uncategorized")
ARDUINO = {
    "name": (r"[A-Za-z0-9][A-Za-z0-9 _.-]*", 63), "version": (SEMVER, 20), "author": (r".+", 100),
    "maintainer": (r".+", 100), "sentence": (r".+", 200), "paragraph": (r".+", 400),
    "category": (CATEGORIES, 40), "architectures": (r"\*", 1), "includes": (r"[\w.]+\.h", 100),
    "url": (r"(https?://\S+)?", 200), "license": (r".+", 100),
}
IDF = {"version": (SEMVER, 20), "description": (r".+", 255), "license": (r".+", 100),
       "dependencies": (r"", 0), "  idf": (r">=\d+\.\d+", 20)}
ZEPHYR = {"name": (r"[a-z]\w*", 50), "build": (r"", 0), "  cmake": (r".+", 100),
          "  kconfig": (r".+", 100)}
problems = []


def check(path, found, table):
    for key in sorted(set(found) | set(table)):
        if key not in found:
            problems.append("%s: no %s" % (path, key.strip()))
        elif key not in table:
            problems.append("%s: what is %s?" % (path, key.strip()))
        elif not re.fullmatch(table[key][0], found[key]) or len(found[key]) > table[key][1]:
            problems.append("%s: %s cannot be %r" % (path, key.strip(), found[key]))


def lines(path, separator):
    """The fields of a file that has one a line; those of a map keep their indent."""
    with open(path) as f:
        rows = [r.rstrip("\n") for r in f if r.strip() and not r.startswith("#")]
    return {k: v.strip().strip('"') for k, v in (r.split(separator, 1) for r in rows)}


def exists(where, path):
    if not os.path.exists(path):
        problems.append("%s: there is no %s" % (where, path))


def main():
    path = "packaging/arduino/library.json"
    with open(path) as f:
        manifest = json.load(f)
    words, authors, build = (manifest.pop(k, None) for k in ("keywords", "authors", "build"))
    check(path, manifest, PLATFORMIO)
    if not words or any(not re.fullmatch(r"[a-z0-9 +-]{1,50}", w) for w in words):
        problems.append(path + ": keywords")
    if not authors or any("name" not in a for a in authors):
        problems.append(path + ": authors")
    if build != {"srcDir": "src", "includeDir": "src"}:
        problems.append(path + ": build")
    exists(path, "packaging/arduino/" + manifest.get("headers", ""))

    path = "packaging/arduino/library.properties"
    fields = lines(path, "=")
    check(path, fields, ARDUINO)
    exists(path, "packaging/arduino/" + fields.get("includes", ""))
    if fields.get("name") != manifest.get("name"):
        problems.append(path + ": another name than library.json")

    check("idf_component.yml", lines("packaging/esp-idf/sandbox/idf_component.yml", ":"), IDF)
    path = "packaging/zephyr/module.yml"
    fields = lines(path, ":")
    check(path, fields, ZEPHYR)
    exists(path, "packaging/%s/CMakeLists.txt" % fields.get("  cmake"))
    exists(path, "packaging/" + fields.get("  kconfig", ""))
    with open("packaging/zephyr/Kconfig") as f:
        known = set(re.findall(r"^config (\w+)", f.read(), re.M))
    with open("packaging/zephyr/CMakeLists.txt") as f:
        for name in set(re.findall(r"CONFIG_(\w+)", f.read())) - known:
            problems.append("packaging/zephyr/Kconfig: no " + name)


main()
for p in problems:
    print(p)
sys.exit(1 if problems else 0)
