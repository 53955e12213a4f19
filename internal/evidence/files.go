package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// What is added to the path of a disk for the files of its evidence. Packer looks for
// the bundle under the name of the envelope with .sigstore before its .json.
const (
	StatementSuffix = ".statement.json"
	EnvelopeSuffix  = ".intoto.json"
	BundleSuffix    = ".intoto.sigstore.json"
)

// head is how each of the files begins.
var head = lazyregexp.New(`^\s*\{\s*"(_type"\s*:\s*"https://in-toto\.io/Statement/|payloadType"\s*:\s*"application/vnd\.in-toto\+json"|mediaType"\s*:\s*"application/vnd\.dev\.sigstore\.bundle)`)

// Paths are those of all files that may be the evidence on a disk, prefix being its path.
func Paths(prefix string) []string {
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

// IsOurs reports whether a file is absent, empty or one of evidence.
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
	start, err := io.ReadAll(io.LimitReader(f, 256))
	return head.Match(start), err
}

// Check says why the evidence on a disk cannot be written, nil if it can. A file that is
// there must be evidence or empty. Inputs are files that are never replaced.
func Check(prefix string, inputs ...string) error {
	for _, path := range Paths(prefix) {
		if err := hostfile.Writable(path, inputs...); err != nil {
			return err
		}
		ours, err := IsOurs(path)
		if err == nil && !ours {
			err = fmt.Errorf("%s exists already and is no evidence: remove it, or choose another name", path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Write writes all of the documents or none, and removes other evidence of the same
// prefix, which is about an earlier disk. After an error none is left.
func Write(ctx context.Context, prefix string, documents []Document, inputs ...string) (err error) {
	if err := Check(prefix, inputs...); err != nil {
		return err
	}
	if err := Remove(ctx, prefix); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, Remove(context.WithoutCancel(ctx), prefix))
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
func Remove(ctx context.Context, prefix string) error {
	var errs []error
	for _, path := range Left(prefix) {
		errs = append(errs, hostfile.Remove(ctx, path))
	}
	return errors.Join(errs...)
}

// Left are the files of evidence that are there.
func Left(prefix string) (paths []string) {
	for _, path := range Paths(prefix) {
		info, err := os.Lstat(path)
		if err != nil || info.Size() == 0 {
			continue
		}
		if ours, err := IsOurs(path); err == nil && ours {
			paths = append(paths, path)
		}
	}
	return paths
}
