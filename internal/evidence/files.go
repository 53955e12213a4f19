package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// What is added to the path of a disk for the files of its evidence. Packer looks for
// the bundle under the name of the envelope with .sigstore before its .json. SBOMSuffix is
// for the bill of materials, which is no evidence itself.
const (
	StatementSuffix = ".statement.json"
	EnvelopeSuffix  = ".intoto.json"
	BundleSuffix    = ".intoto.sigstore.json"
	SBOMSuffix      = ".cdx.json"
)

// head is how each of the files begins; a bill of materials also names who wrote it, for
// others write such files too.
var head = lazyregexp.New(`^\s*\{\s*"(_type"\s*:\s*"https://in-toto\.io/Statement/|payloadType"\s*:\s*"application/vnd\.in-toto\+json"|mediaType"\s*:\s*"application/vnd\.dev\.sigstore\.bundle` +
	`|\$schema"\s*:\s*"http://cyclonedx\.org/schema/[^\[]*"tools"\s*:\s*\{\s*"components"\s*:\s*\[\s*\{\s*"type"\s*:\s*"application",\s*"name"\s*:\s*"packer-plugin-sysprep")`)

// headSize is what head needs, with room to spare.
const headSize = 1024

// Paths are those of all files beside a disk that are about it: its evidence and its bill
// of materials. prefix is its path.
func Paths(prefix string) []string { return append(statements(prefix), prefix+SBOMSuffix) }

// statements are those that may be its evidence.
func statements(prefix string) []string {
	return []string{prefix + StatementSuffix, prefix + EnvelopeSuffix, prefix + BundleSuffix}
}

// Document is one file of evidence.
type Document struct {
	Path    string
	Content []byte
}

// Documents are the files that hold a statement: the statement itself or, with a key,
// the envelope and the bundle.
func Documents(prefix string, statement []byte, k *Key) ([]Document, error) {
	if k == nil {
		return []Document{{prefix + StatementSuffix, append(statement[:len(statement):len(statement)], '\n')}}, nil
	}
	plain, bundled, err := sign(statement, k)
	if err != nil {
		return nil, err
	}
	return []Document{{prefix + EnvelopeSuffix, plain}, {prefix + BundleSuffix, bundled}}, nil
}

// IsSBOM reports whether a document is the bill of materials.
func (d Document) IsSBOM() bool { return strings.HasSuffix(d.Path, SBOMSuffix) }

// IsOurs reports whether a file is absent, empty, one of evidence or a bill of materials
// that this program wrote.
func IsOurs(path string) (bool, error) {
	f, info, err := hostfile.OpenRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info.Size() == 0 {
		return true, nil
	}
	start, err := io.ReadAll(io.LimitReader(f, headSize))
	return head.Match(start), err
}

// Check says why the evidence on a disk cannot be written, nil if it can. A file that is
// there must be evidence or empty. Inputs are files that are never replaced.
func Check(prefix string, inputs ...string) error {
	return check(statements(prefix), "evidence", inputs)
}

// CheckSBOM says the same of the bill of materials.
func CheckSBOM(prefix string, inputs ...string) error {
	return check([]string{prefix + SBOMSuffix}, "bill of materials of this plugin", inputs)
}

func check(paths []string, what string, inputs []string) error {
	for _, path := range paths {
		if err := hostfile.Writable(path, inputs...); err != nil {
			return err
		}
		ours, err := IsOurs(path)
		if err == nil && !ours {
			err = fmt.Errorf("%s exists already and is no %s: remove it, or choose another name", path, what)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Write writes all of the documents or none. Evidence among them replaces other evidence
// of the same prefix, which is about an earlier disk. The bill of materials, which a
// statement names, is written first. After an error none of them is left.
func Write(ctx context.Context, prefix string, documents []Document, inputs ...string) (err error) {
	documents = slices.Clone(documents)
	slices.SortStableFunc(documents, func(a, b Document) int {
		switch {
		case a.IsSBOM() == b.IsSBOM():
			return 0
		case a.IsSBOM():
			return -1
		}
		return 1
	})
	listed, states := false, false
	for _, d := range documents {
		listed, states = listed || d.IsSBOM(), states || !d.IsSBOM()
	}
	remove := func(ctx context.Context) (err error) {
		if listed {
			err = RemoveSBOM(ctx, prefix)
		}
		if states {
			err = errors.Join(err, Remove(ctx, prefix))
		}
		return err
	}
	if listed {
		err = CheckSBOM(prefix, inputs...)
	}
	if states && err == nil {
		err = Check(prefix, inputs...)
	}
	if err != nil {
		return err
	}
	if err := remove(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(context.WithoutCancel(ctx)))
		}
	}()
	for _, d := range documents {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := hostfile.WriteFile(ctx, d.Path, d.Content); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the evidence on a disk. Files that are no evidence stay.
func Remove(ctx context.Context, prefix string) error { return remove(ctx, Left(prefix)) }

// RemoveSBOM removes its bill of materials, if this program wrote it.
func RemoveSBOM(ctx context.Context, prefix string) error {
	return remove(ctx, left([]string{prefix + SBOMSuffix}))
}

func remove(ctx context.Context, paths []string) error {
	var errs []error
	for _, path := range paths {
		errs = append(errs, hostfile.Remove(ctx, path))
	}
	return errors.Join(errs...)
}

// Left are the files of evidence that are there.
func Left(prefix string) []string { return left(statements(prefix)) }

func left(paths []string) (ours []string) {
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || info.Size() == 0 {
			continue
		}
		if is, err := IsOurs(path); err == nil && is {
			ours = append(ours, path)
		}
	}
	return ours
}
