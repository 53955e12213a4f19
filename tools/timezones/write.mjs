// Writes internal/answerfile/zones.tsv and regions.tsv from Unicode CLDR (the
// packages cldr-core and cldr-bcp47, pinned): the names of Windows' time zones with the IANA
// zones that each stands for, and the languages and regions of BCP 47. With
// --check it changes nothing and fails where a file is stale. Run by
// make generate, after npm ci in this folder.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const cldr = (part, name) => JSON.parse(readFileSync(new URL(`node_modules/${part}/${name}.json`, import.meta.url)));
const version = cldr("cldr-core", "package").version;
const head = (columns) => `# Written by tools/timezones, run by make generate. DO NOT EDIT.
# Data of Unicode CLDR ${version}, https://cldr.unicode.org/. Copyright © 2004-2026 Unicode, Inc.,
# under the Unicode License v3, LICENSE-UNICODE in this folder.
# ${columns}
`;

const zones = new Map();
for (const { mapZone } of cldr("cldr-core", "supplemental/windowsZones").supplemental.windowsZones.mapTimezones) {
  const names = zones.get(mapZone._other) ?? new Set();
  mapZone._type.split(" ").filter(Boolean).forEach((name) => names.add(name));
  zones.set(mapZone._other, names);
}
// CLDR keeps one name for each zone; IANA's other names for it are aliases.
const zoneKeys = cldr("cldr-bcp47", "bcp47/timezone").keyword.u.tz;
for (const { _alias } of Object.values(zoneKeys)) {
  const names = (_alias ?? "").split(" ").filter(Boolean);
  for (const zone of zones.values()) if (names.some((name) => zone.has(name))) names.forEach((name) => zone.add(name));
}
const zoneLines = [...zones].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, iana]) => `${name}\t${[...iana].sort().join(" ")}\n`);

const supplemental = (name) => cldr("cldr-core", `supplemental/${name}`).supplemental;
const subtags = Object.keys(supplemental("likelySubtags").likelySubtags).map((tag) => tag.split("-")[0]);
const languages = new Set([...subtags, ...Object.keys(supplemental("languageData").languageData)].filter((tag) => /^[a-z]{2,3}$/.test(tag) && tag !== "und"));
const territories = new Set(Object.keys(supplemental("territoryInfo").territoryInfo).filter((tag) => /^[A-Z]{2}$/.test(tag)));
const replaced = supplemental("aliases").metadata.alias.territoryAlias;
const regionAliases = Object.entries(replaced).filter(([tag]) => /^[A-Z]{2}$/.test(tag) && !territories.has(tag)).map(([tag, to]) => `${tag}=${to._replacement.split(" ")[0]}`);
const regionText = `language\t${[...languages].sort().join(" ")}\nregion\t${[...territories].sort().join(" ")}\nformer\t${regionAliases.sort().join(" ")}\n`;

let stale = false;
for (const [path, text] of [
  ["internal/answerfile/zones.tsv", head("name of Windows	names of IANA") + zoneLines.join("")],
  ["internal/answerfile/regions.tsv", head("kind	subtags") + regionText],
]) {
  let have = "";
  try { have = readFileSync(root + path, "utf8"); } catch (error) { if (error.code !== "ENOENT") throw error; }
  if (have === text) continue;
  if (process.argv.includes("--check")) {
    console.error(`${path} does not say what CLDR ${version} does: run make generate and commit`);
    stale = true;
  } else writeFileSync(root + path, text);
}
process.exitCode = stale ? 1 : 0;
