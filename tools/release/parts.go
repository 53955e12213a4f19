package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// The documents below are CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/.
type (
	bom struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     bomMetadata  `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	bomMetadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licenses   []license  `json:"licenses,omitempty"`
		PURL       string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	license struct {
		Expression string `json:"expression"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

// parts lists what a built program is made of, by what Go's linker wrote into it.
func (r release) parts(program []byte, platform string, l licences) (*bom, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("reading the build information of the program: %w", err)
	}
	return r.bom(info, sha256.Sum256(program), platform, l)
}

func (r release) bom(info *debug.BuildInfo, sum [sha256.Size]byte, platform string, l licences) (*bom, error) {
	own := component{
		Type: "application", Ref: purl(module, "v"+r.version), Name: module, Version: "v" + r.version, PURL: purl(module, "v"+r.version),
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licenses: []license{{"MPL-2.0"}},
		Properties: []property{{"platform", platform}},
	}
	if r.commit != "" {
		own.Properties = append(own.Properties, property{"commit", r.commit})
	}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	components := []component{{
		Type: "library", Ref: purl("std", goVersion), Name: standard, Version: goVersion,
		Licenses: []license{{"BSD-3-Clause"}}, PURL: purl("std", goVersion),
	}}
	for _, m := range info.Deps {
		c := component{Type: "library"}
		if m.Replace != nil {
			c.Properties = append(c.Properties, property{"replaces", m.Path + "@" + m.Version})
			m = m.Replace
		}
		known, ok := l.module(m.Path, m.Version)
		if !ok {
			return nil, fmt.Errorf("the program holds %s %s, whose licence is not known; run make generate", m.Path, m.Version)
		}
		c.Name, c.Version, c.PURL = m.Path, m.Version, purl(m.Path, m.Version)
		c.Ref, c.Licenses = c.PURL, []license{{known.spdx}}
		// Go's own sum of a module's files, which go.sum has too; CycloneDX has no name for it.
		if m.Sum != "" {
			c.Properties = append(c.Properties, property{"go.sum", m.Sum})
		}
		components = append(components, c)
	}
	on := dependency{Ref: own.Ref}
	for _, c := range components {
		on.DependsOn = append(on.DependsOn, c.Ref)
	}
	return &bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		Serial:       serial(sum),
		Metadata:     bomMetadata{Timestamp: r.time.Format(time.RFC3339), Component: own},
		Components:   components,
		Dependencies: []dependency{on},
	}, nil
}

// purl is the address of a Go module. The specification wants it in lower case, and + and @
// as they are in no address: https://github.com/package-url/purl-spec, golang.
func purl(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// serial is a UUID of version 8 (RFC 9562) made of the program's own sum, so that the same
// program has the same document.
func serial(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
