package capture

import (
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
)

// volume is an NTFS volume as a source of package wim.
type volume struct{ *ntfs.Volume }

func (v volume) Root() (wim.File, error) { return opened(v.RootNode()) }

func (v volume) Open(reference uint64) (wim.File, error) { return opened(v.Node(reference)) }

func opened(n *ntfs.Node, err error) (wim.File, error) {
	if err != nil {
		return nil, err
	}
	return file{n}, nil
}

type file struct{ *ntfs.Node }

func (f file) Metadata() (wim.Metadata, error) {
	m, err := f.Node.Metadata()
	return wim.Metadata(m), err
}

func (f file) Links() ([]wim.Link, error) {
	links, err := f.Node.Links()
	out := make([]wim.Link, len(links))
	for i, l := range links {
		out[i] = wim.Link(l)
	}
	return out, err
}

func (f file) Stream(name string) (*io.SectionReader, error) { return f.Node.Stream(name) }
