package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestArguments(t *testing.T) {
	for arguments, want := range map[string]string{
		"-version 1.2":            `-version "1.2" is no version`,
		"-version 1.2.3-dev":      "installs no pre-releases",
		"-version v1.2.3":         "is no version",
		"-version 01.2.3":         "is no version",
		"-platforms beos/ppc":     `-platforms: the plugin is not released for "beos/ppc"`,
		"publish":                 `unexpected argument "publish"`,
		"-version 9.9.9 -tag v10": "CHANGELOG.md", // no such file in this folder
	} {
		if err := run(t.Context(), strings.Fields(arguments), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", arguments, err, want)
		}
	}
}

func TestATagHasToFit(t *testing.T) {
	for name, tt := range map[string]struct{ tag, changelog, want string }{
		"fits":                 {"v1.2.3", "# Changelog\n\n## [1.2.3] - 2026-01-02\n", ""},
		"without brackets":     {"v1.2.3", "## 1.2.3 - 2026-01-02\n", ""},
		"another version":      {"v1.2.4", "## [1.2.3] - 2026-01-02\n", "the tag is v1.2.4"},
		"no v":                 {"1.2.3", "## [1.2.3] - 2026-01-02\n", "the tag is 1.2.3"},
		"not released":         {"v1.2.3", "## [1.2.3] - unreleased\n", "has no heading"},
		"a longer version":     {"v1.2.3", "## [11.2.3] - 2026-01-02\n## [1.2.30] - 2026-01-02\n", "has no heading"},
		"a point is no letter": {"v1.2.3", "## [1x2.3] - 2026-01-02\n", "has no heading"},
	} {
		err := checkTag(tt.tag, "1.2.3", tt.changelog)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestAZipDependsOnItsContentOnly(t *testing.T) {
	entries := []entry{{"program", 0o755, []byte("x")}, {"LICENSE.txt", 0o644, bytes.Repeat([]byte("y"), 1000)}}
	one, err := pack(noon, entries)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := pack(noon, entries); err != nil || !bytes.Equal(one, other) {
		t.Errorf("two zips of the same differ: %v", err)
	}
	z, err := zip.NewReader(bytes.NewReader(one), int64(len(one)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range z.File {
		if f.Name != entries[i].name || f.Mode() != entries[i].mode || !f.Modified.Equal(noon) {
			t.Errorf("%s, %v, %v: want %s, %v, %v", f.Name, f.Mode(), f.Modified, entries[i].name, entries[i].mode, noon)
		}
	}
}

func TestChecksumsAreReadByPackerAndSha256sum(t *testing.T) {
	got := string(checksums([]artifact{{"b.zip", "02"}, {"a.json", "01"}}))
	if want := "01  a.json\n02  b.zip\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLicencesAreToldByTheirTexts(t *testing.T) {
	const (
		mit    = "Permission is hereby granted, free of charge, to any person obtaining\na copy of this software ... THE SOFTWARE IS PROVIDED “AS IS”"
		bsd2   = "Redistribution and use in source and\nbinary forms, with or without modification"
		bsd3   = bsd2 + "\nNeither the name ... may be used to endorse or promote products"
		apache = "Apache License\n Version 2.0, January 2004"
	)
	for name, tt := range map[string]struct {
		texts []string
		want  string
		err   string
	}{
		"MIT":                 {texts: []string{mit}, want: "MIT"},
		"BSD with two":        {texts: []string{bsd2}, want: "BSD-2-Clause"},
		"BSD with three":      {texts: []string{bsd3}, want: "BSD-3-Clause"},
		"two in one text":     {texts: []string{mit + "\n" + apache}, want: "Apache-2.0 AND MIT"},
		"two texts":           {texts: []string{mit, apache, mit}, want: "Apache-2.0 AND MIT"},
		"nothing":             {err: "no licence was found"},
		"unknown":             {texts: []string{"All rights reserved by me."}, err: `does not know, beginning "All rights`},
		"one known, one not":  {texts: []string{mit, "All rights reserved."}, err: "does not know"},
		"copyleft":            {texts: []string{"        GNU GENERAL PUBLIC LICENSE\n  Version 3"}, err: "cannot link"},
		"Packer's own":        {texts: []string{"License text copyright (c) 2020 MariaDB\n\"Business Source License\" is a trademark\n" + mit}, err: "cannot link"},
		"a mention of others": {texts: []string{"Mozilla Public License Version 2.0 " + strings.Repeat("x ", 200) + "Covered Software GNU GENERAL PUBLIC LICENSE"}, want: "MPL-2.0"},
	} {
		got, err := classify(tt.texts)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v, want %q, %q", name, got, err, tt.want, tt.err)
		}
	}
}

func TestTheNoticesHaveEachTextOnce(t *testing.T) {
	l := licences{
		{path: "a", version: "v1", spdx: "MIT", texts: []string{"text one"}, more: []string{"notice"}},
		{path: "b", version: "v2", spdx: "MIT", texts: []string{"text one"}},
		{path: "c", version: "v3", spdx: "ISC", texts: []string{"text two"}},
	}
	got := string(l.text())
	for text, times := range map[string]int{"text one": 1, "text two": 1, "notice": 1, "a v1 (MIT)\nb v2 (MIT)\n": 1, "c v3 (ISC)": 1} {
		if n := strings.Count(got, text); n != times {
			t.Errorf("%q is there %d times, want %d:\n%s", text, n, times, got)
		}
	}
	other := licences{{path: "a", version: "v1", spdx: "MIT", texts: []string{"text one"}, more: []string{"another notice"}}}
	if bytes.Equal(l[:1].table(), other.table()) {
		t.Error("a changed notice is not seen in the table")
	}
}

func TestThePartsOfAProgram(t *testing.T) {
	r := release{version: "1.2.3", commit: "c0ffee", time: noon}
	l := licences{{path: "example.com/Fork", version: "v1.0.1", spdx: "ISC"}, {path: "example.com/b", version: "v2.0.0+incompatible", spdx: "MIT"}}
	info := &debug.BuildInfo{GoVersion: "go1.99.1", Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/Fork", Version: "v1.0.1", Sum: "h1:f"}},
		{Path: "example.com/b", Version: "v2.0.0+incompatible", Sum: "h1:b"},
	}}
	b, err := r.bom(info, sha256.Sum256([]byte("program")), "linux/amd64", l)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"specVersion":"1.6"`, `"purl":"pkg:golang/std@1.99.1"`, `"timestamp":"2026-01-02T12:00:00Z"`,
		`"name":"example.com/Fork","version":"v1.0.1","licenses":[{"expression":"ISC"}],"purl":"pkg:golang/example.com/fork@v1.0.1","properties":[{"name":"replaces","value":"example.com/a@v1.0.0"},{"name":"go.sum","value":"h1:f"}]`,
		`"purl":"pkg:golang/example.com/b@v2.0.0%2Bincompatible"`,
		`"dependsOn":["pkg:golang/std@1.99.1","pkg:golang/example.com/fork@v1.0.1","pkg:golang/example.com/b@v2.0.0%2Bincompatible"]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	// RFC 9562: the digit of the version, and the variant.
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.Serial) {
		t.Errorf("the serial number is %s", b.Serial)
	}
	if _, err := r.bom(info, sha256.Sum256(nil), "linux/amd64", l[:1]); err == nil || !strings.Contains(err.Error(), "example.com/b") {
		t.Errorf("a module without a known licence: %v", err)
	}
}

func TestTheTimeOfARelease(t *testing.T) {
	for seconds, want := range map[string]string{
		"1767355200": "", "yesterday": "is not a number", "0": "is the year 1970", "4500000000": "is the year 2112",
	} {
		t.Setenv("SOURCE_DATE_EPOCH", seconds)
		r := release{commit: "c0ffee"}
		err := r.dates(t.Context())
		if want == "" && (err != nil || !r.time.Equal(noon)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v, want %q", seconds, r.time, err, want)
		}
	}
}

func TestTheChecksumsAreSigned(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: releases are made on Linux; the gpg of Git for Windows reads paths of its own kind")
	}
	testutil.Tool(t, "gpg")
	// gpg's agent makes a socket, whose path may have a hundred letters.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() {
		exec.Command("gpgconf", "--kill", "all").Run() // its agent lives on otherwise
		os.RemoveAll(home)
	})
	gpg := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("gpg", append([]string{"--batch"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, out)
		}
	}
	gpg("--passphrase", "", "--quick-generate-key", "release@example.com", "ed25519", "sign", "never")
	sums := filepath.Join(t.TempDir(), "SHA256SUMS")
	if err := os.WriteFile(sums, []byte("01  a.zip\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := release{signer: "release@example.com", say: t.Logf}
	if err := r.sign(t.Context(), sums); err != nil {
		t.Fatal(err)
	}
	gpg("--verify", sums+".sig", sums)
	r.signer = "nobody@example.com"
	if err := r.sign(t.Context(), sums); err == nil {
		t.Error("signed by a key that is not there")
	}
}
