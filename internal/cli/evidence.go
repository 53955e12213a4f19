package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// evidenceLimit is how long an inspection with evidence may take, unless --timeout says
// otherwise: the image and its source are read as a whole.
const evidenceLimit = 2 * time.Hour

// stating is the evidence that a command line asks for.
type stating struct {
	prefix, keyPath value
	key             *evidence.Key
	image           string
	before          os.FileInfo // of the image, when it was not looked into yet
	against         diskimage.Info
}

func (s *stating) wanted() bool { return s.prefix != "" || s.keyPath != "" }

// check says what is wrong with the command line before an image is read. inputs are
// files that are never replaced.
func (s *stating) check(images []string, inputs ...string) (err error) {
	if !s.wanted() {
		return nil
	}
	switch {
	case len(images) != 1:
		return errors.New("--evidence: it is made of one image at a time; name one")
	case images[0] == "-" || weburl.Scheme(images[0]) != "":
		return errors.New("--evidence: it is made of a file on this machine, because all of it is hashed; write the image to a file and name that")
	}
	s.image = images[0]
	if s.prefix == "" {
		s.prefix = value(s.image)
	}
	if s.keyPath != "" {
		if s.key, err = evidence.LoadKey(string(s.keyPath)); err != nil {
			return fmt.Errorf("--evidence-key: %w", err)
		}
	}
	if err := evidence.Check(string(s.prefix), append(inputs, s.image, string(s.keyPath))...); err != nil {
		return fmt.Errorf("--evidence: %w", err)
	}
	s.before, err = os.Stat(s.image)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is said with the others
	}
	return err
}

// write writes the evidence on an image that was looked into, and returns the paths of
// the files. Nothing is written of one that is not proven.
func (s *stating) write(ctx context.Context, o *inspecting, r finding.Report) ([]string, error) {
	facts, ok := r.Facts.(winimage.Facts)
	if codeOf(r) != OK || !ok {
		return nil, evidence.ErrNotProven
	}
	disk, err := diskimage.Open(s.image, diskimage.Until(ctx), diskimage.Allow(o.backing...))
	if err != nil {
		return nil, err
	}
	files := disk.Info().Files
	disk.Close()
	if len(files) > 1 {
		return nil, fmt.Errorf("%s is only a part of the disk, which is in %d files, and evidence is about one file; convert it to one (qemu-img convert, or post-processor sysprep-image with format)", s.image, len(files))
	}
	digests, err := diskimage.Digest(ctx, s.image, nil, diskimage.Allow(o.backing...))
	if err != nil {
		return nil, err
	}
	if after, err := os.Stat(s.image); err != nil || s.before == nil || after.Size() != s.before.Size() || !after.ModTime().Equal(s.before.ModTime()) {
		return nil, fmt.Errorf("%s was written to after it was looked into; make sure that nothing uses it, and run this again", s.image)
	}
	materials, err := s.sources(ctx, string(o.against))
	if err != nil {
		return nil, err
	}
	statement, err := evidence.Statement(
		evidence.Image{Name: filepath.Base(s.image), File: digests.File, Content: digests.Content},
		evidence.Proof{Findings: r.Findings, Facts: facts, Plugin: version.PluginVersion.String(), Materials: materials})
	if err != nil {
		return nil, err
	}
	documents, err := evidence.Documents(string(s.prefix), statement, s.key)
	if err != nil {
		return nil, err
	}
	if err := evidence.Write(ctx, string(s.prefix), documents, s.image, string(s.keyPath), string(o.against)); err != nil {
		return nil, err
	}
	var paths []string
	for _, d := range documents {
		paths = append(paths, d.Path)
	}
	return paths, nil
}

// sources are the files of the disk that the image was compared with.
func (s *stating) sources(ctx context.Context, against string) (list []evidence.Material, err error) {
	if against == "" {
		return nil, nil
	}
	if weburl.Scheme(against) != "" { // all of it would have to be downloaded
		return []evidence.Material{{Role: evidence.RoleSource, Name: weburl.Redact(against)}}, nil
	}
	for _, file := range s.against.Files {
		sum, err := diskimage.FileDigest(ctx, file)
		if err != nil {
			return nil, err
		}
		list = append(list, evidence.Material{Role: evidence.RoleSource, Name: filepath.Base(file), SHA256: sum})
	}
	return list, nil
}
