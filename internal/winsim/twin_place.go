package winsim

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// blocked says whether an antivirus lets a script not run.
func (g *Guest) blocked(c *call, name string) bool {
	if !slices.Contains(g.scenario.BlockedScripts, name) {
		return false
	}
	c.fail("This script contains malicious content and has been blocked by your antivirus software.")
	return true
}

// inline runs a script of ours that is no file.
func (g *Guest) inline(ctx context.Context, c *call, name string) int {
	if g.scenario.ConstrainedLanguage {
		c.fail("Cannot invoke method. Method invocation is supported only on core types in this language mode.")
		return 1
	}
	if g.scenario.release().powershell == "2" {
		c.fail("The term 'ConvertFrom-Json' is not recognized as the name of a cmdlet, function, script file, or operable program.")
		return 1
	}
	if g.blocked(c, name) {
		return 1
	}
	t := &twin{g: g, ctx: ctx, c: c}
	switch name {
	case scripts.Store:
		return t.store()
	case scripts.Fetch:
		return t.fetch()
	case scripts.Password:
		return t.password()
	}
	return t.place()
}

type placeParameters struct {
	Zip, SHA256 string
	Private     []string
	Files       []struct {
		Path string
		Size int
	}
}

// place is the twin of place.ps1.
func (t *twin) place() int {
	sum, err := t.placeAll()
	if err != nil {
		t.inlineFailed("place", err)
		return 0
	}
	t.write(document{{"script", "place"}, {"schema", 1}, {"ok", true}, {"sha256", sum}})
	return 0
}

// inlineFailed is the document of a short script that failed.
func (t *twin) inlineFailed(script string, err error) {
	var e *psError
	if !errors.As(err, &e) {
		e = fileError(err, "")
	}
	d := document{{"name", "failed"}}
	if script == scripts.Place {
		d = append(d, member{"type", e.kind})
	}
	t.write(document{{"script", script}, {"schema", 1}, {"ok", false}, {"error", append(d, member{"message", notASCII(e.message)})}})
}

// notASCII is what the script makes of a message.
func notASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
}

func (t *twin) placeAll() (sum string, err error) {
	var p placeParameters
	rest, err := t.inlineInput(&p)
	if err != nil {
		return "", err
	}
	for _, folder := range p.Private {
		if err := t.makePrivate(expandEnv(t.c.Env, folder)); err != nil {
			return "", err
		}
	}
	archive, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(rest), ""))
	if err != nil {
		return "", notBase64
	}
	kept := expandEnv(t.c.Env, p.Zip)
	if err := t.g.drive.MkdirAll(kept[:strings.LastIndexByte(kept, '\\')]); err != nil {
		return "", err
	}
	if err := t.g.drive.WriteFile(kept, archive); err != nil {
		return "", err
	}
	defer func() {
		if gone := t.g.drive.Remove(kept); gone != nil && err == nil {
			err = gone
		}
	}()
	hash := sha256.Sum256(archive)
	if sum = strings.ToUpper(hex.EncodeToString(hash[:])); !strings.EqualFold(sum, p.SHA256) {
		return "", thrown("hash-mismatch")
	}
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil || len(z.File) != 1 {
		return "", noZip
	}
	content, err := z.File[0].Open()
	if err != nil {
		return "", err
	}
	defer content.Close()
	for _, file := range p.Files {
		b := make([]byte, file.Size)
		if _, err := io.ReadFull(content, b); err != nil {
			return "", err
		}
		if err := t.placeOne(expandEnv(t.c.Env, file.Path), b); err != nil {
			return "", err
		}
	}
	return sum, nil
}

// inlineInput reads the parameters of a short script, and the lines behind them.
func (t *twin) inlineInput(into any) (rest string, err error) {
	all, err := io.ReadAll(t.c.Stdin) // $input is all of it
	if err != nil {
		return "", err
	}
	first, rest, _ := strings.Cut(string(all), "\n")
	if first = strings.Trim(strings.TrimSpace(first), "\ufeff"); first == "" {
		return "", thrown("nothing came")
	}
	return rest, parameters(first, into)
}

func (t *twin) placeOne(path string, content []byte) error {
	if err := t.g.drive.MkdirAll(path[:strings.LastIndexByte(path, '\\')]); err != nil {
		return err
	}
	if err := t.g.drive.WriteFile(path+".part", content); err != nil {
		return err
	}
	if t.g.drive.IsDir(path) {
		return fileError(fs.ErrPermission, path) // File.Delete of a folder
	}
	if t.g.drive.IsFile(path) {
		if err := t.g.drive.Remove(path); err != nil {
			return err
		}
	}
	return t.g.drive.Rename(path+".part", path)
}

// makePrivate makes a folder anew that only SYSTEM and administrators can read.
func (t *twin) makePrivate(folder string) error {
	if err := t.g.drive.RemoveAll(folder); err != nil {
		return err
	}
	if err := t.g.drive.MkdirAll(folder); err != nil {
		return err
	}
	if !t.g.isAdmin(t.c.user, t.c.filtered) {
		return thrown("icacls returned 5")
	}
	t.g.setACL(folder, []string{"*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"})
	return nil
}
