package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	module  = "github.com/packer-plugin-sysprep/packer-plugin-sysprep"
	program = "packer-plugin-sysprep"
	// apiVersion is the version of the protocol between Packer and its plugins; describe
	// of the built plugin has to say the same.
	apiVersion = "5.0"
	// buildLimit is for one platform, with nothing in the build cache.
	buildLimit = 30 * time.Minute
	toolLimit  = 5 * time.Minute
)

// release is one release: what to build, and where to.
type release struct {
	version   string   // 1.2.3
	platforms []string // GOOS/GOARCH
	out       string   // the folder that is written
	commit    string   // may be unknown: ""
	signer    string   // a key of gpg; "" signs nothing
	time      time.Time
	say       func(format string, a ...any)
}

// artifact is one file of the release.
type artifact struct {
	name   string
	sha256 string
}

// base is how the names of the files begin that are not for one platform.
func (r release) base() string { return program + "_v" + r.version }

// stem is the name of the zip and of the program in it, without their endings.
func (r release) stem(platform string) string {
	return r.base() + "_x" + apiVersion + "_" + strings.ReplaceAll(platform, "/", "_")
}

// make builds everything beside the folder that is written, and puts it there at the end.
func (r release) make(ctx context.Context) error {
	if err := r.dates(ctx); err != nil {
		return err
	}
	licences, err := r.licences(ctx)
	if err != nil {
		return err
	}
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.out), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(r.out), ".release-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	files := filepath.Join(work, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	var zips, all []artifact
	for _, platform := range r.platforms {
		started := time.Now()
		of, err := r.platform(ctx, platform, work, files, own, licences)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		zips, all = append(zips, of[0]), append(all, of...)
		r.say("%s in %d s", of[0].name, int(time.Since(started).Seconds()))
	}
	for name, document := range map[string]any{
		r.base() + "_manifest.json":   manifest(),
		r.base() + "_provenance.json": r.provenance(zips, runtime.Version()),
	} {
		a, err := writeJSON(files, name, document)
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	sums := r.base() + "_SHA256SUMS"
	if _, err := write(files, sums, checksums(all)); err != nil {
		return err
	}
	if err := r.sign(ctx, filepath.Join(files, sums)); err != nil {
		return err
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.Rename(files, r.out); err != nil {
		return err
	}
	r.say("%d platforms of version %s in %s", len(r.platforms), r.version, r.out)
	return nil
}

// platform builds the plugin for one platform. The first of its artifacts is the zip.
func (r release) platform(ctx context.Context, platform, work, files string, own []byte, l licences) ([]artifact, error) {
	name := r.stem(platform)
	ending := ""
	if strings.HasPrefix(platform, "windows/") {
		ending = ".exe"
	}
	binary := filepath.Join(work, name+ending)
	if err := r.build(ctx, platform, binary); err != nil {
		return nil, err
	}
	if platform == runtime.GOOS+"/"+runtime.GOARCH {
		if err := r.describes(ctx, binary); err != nil {
			return nil, err
		}
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	// The next platform needs the room on the disk.
	if err := os.Remove(binary); err != nil {
		return nil, err
	}
	archive, err := pack(r.time, []entry{
		{name + ending, 0o755, content},
		{"LICENSE.txt", 0o644, own},
		{"THIRD_PARTY_NOTICES.txt", 0o644, l.text()},
	})
	if err != nil {
		return nil, err
	}
	zipped, err := write(files, name+".zip", archive)
	if err != nil {
		return nil, err
	}
	parts, err := r.parts(content, platform, l)
	if err != nil {
		return nil, err
	}
	listed, err := writeJSON(files, name+".cdx.json", parts)
	return []artifact{zipped, listed}, err
}

// build compiles the plugin. Nothing of the folder, the machine or the user's settings
// reaches the program: -trimpath, no version control, and every choice of Go's said.
func (r release) build(ctx context.Context, platform, to string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.ldflags(), "-o", to, ".")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly",
		"GO386=sse2", "GOAMD64=v1", "GOARM=7", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return nil
}

func (r release) ldflags() string {
	return "-s -w -X " + module + "/version.Version=" + r.version + " -X " + module + "/version.VersionPrerelease="
}

// describes asks the built plugin what Packer asks it before it installs it.
func (r release) describes(ctx context.Context, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "describe").Output()
	if err != nil {
		return fmt.Errorf("asking the plugin to describe itself: %w", err)
	}
	var said struct {
		Version string
		API     string `json:"api_version"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return fmt.Errorf("reading what the plugin says of itself: %w", err)
	}
	if said.Version != r.version || said.API != "x"+apiVersion {
		return fmt.Errorf("the plugin says version %s and protocol %s, want %s and x%s", said.Version, said.API, r.version, apiVersion)
	}
	return nil
}

// dates sets the time that every file of the release carries: SOURCE_DATE_EPOCH, or that of
// the commit.
func (r *release) dates(ctx context.Context) error {
	if r.commit == "" {
		// Without git there is no commit to name; the time has to come from elsewhere then.
		r.commit, _ = git(ctx, "rev-parse", "HEAD")
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		var err error
		if seconds, err = git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return fmt.Errorf("asking git for the time of the commit: %w; set SOURCE_DATE_EPOCH where there is no git", err)
		}
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds since 1970", seconds)
	}
	r.time = time.Unix(n, 0).UTC()
	if r.time.Year() < 1980 || r.time.Year() > 2107 {
		return fmt.Errorf("SOURCE_DATE_EPOCH %q is the year %d; a zip holds 1980 to 2107", seconds, r.time.Year())
	}
	return nil
}

func git(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	return strings.TrimSpace(string(out)), err
}

// sign leaves the signature beside the checksums, in the binary form that HashiCorp's are in.
func (r release) sign(ctx context.Context, sums string) error {
	if r.signer == "" {
		r.say("not signed: no -sign")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "gpg", "--batch", "--local-user", r.signer, "--output", sums+".sig", "--detach-sign", sums).CombinedOutput()
	if err != nil {
		return fmt.Errorf("signing the checksums: %w\n%s", err, out)
	}
	return nil
}

// checksums is a file for sha256sum --check, by name. Packer reads it too: two words a line,
// and names that are neither JSON nor those of a platform's zip are reported as errors.
func checksums(all []artifact) []byte {
	slices.SortFunc(all, func(a, b artifact) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	for _, a := range all {
		fmt.Fprintf(&b, "%s  %s\n", a.sha256, a.name)
	}
	return b.Bytes()
}

// manifest is what HashiCorp's release site asks a plugin for.
func manifest() any {
	return map[string]any{"version": 1, "metadata": map[string]string{"protocol_version": apiVersion}}
}

func write(folder, name string, content []byte) (artifact, error) {
	sum := sha256.Sum256(content)
	return artifact{name, hex.EncodeToString(sum[:])}, os.WriteFile(filepath.Join(folder, name), content, 0o644)
}

func writeJSON(folder, name string, document any) (artifact, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		return artifact{}, errors.Join(fmt.Errorf("writing %s", name), err)
	}
	return write(folder, name, b.Bytes())
}
