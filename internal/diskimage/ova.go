package diskimage

import (
	"archive/tar"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// inOVA is what detect says of a tar file: the disk is in it, in another format.
const inOVA Format = "ova"

const (
	// tarAt is where the mark of a tar file stands.
	tarAt = 257
	// maxMembers and maxOVF are far above what an OVA of one machine has.
	maxMembers = 1000
	maxOVF     = 4 * mib
	maxDisks   = 64

	// tarName is a tar file in which there is nothing to read, tarNext the way out.
	tarName = "a tar file that is no OVA, such as a Vagrant box"
	tarNext = "unpack it first (tar -xf), and name the disk in it"
)

var tarMagics = []string{"ustar\x0000", "ustar  \x00"}

func isTar(head []byte) bool {
	return len(head) > tarAt && slices.ContainsFunc(tarMagics, func(m string) bool { return strings.HasPrefix(string(head[tarAt:min(len(head), tarAt+len(m))]), m) })
}

// ovaDisk is a disk in an OVA, read where it lies.
type ovaDisk struct {
	Disk
	info  Info
	close func() error
}

func (d *ovaDisk) Info() Info { return d.info.copy() }

func (d *ovaDisk) Close() error { return cmp.Or(d.Disk.Close(), d.close()) }

// tarMember is a file of the archive.
type tarMember struct {
	name     string
	at, size int64
}

// envelope is what is read of an OVF ([OVF], "OVF Envelope").
type envelope struct {
	XMLName xml.Name  `xml:"Envelope"`
	Files   []ovfFile `xml:"References>File"`
	Disks   []ovfDisk `xml:"DiskSection>Disk"`
}

type ovfFile struct {
	ID          string `xml:"id,attr"`
	Href        string `xml:"href,attr"`
	Size        string `xml:"size,attr"`
	Compression string `xml:"compression,attr"`
	ChunkSize   string `xml:"chunkSize,attr"`
}

type ovfDisk struct {
	ID        string `xml:"diskId,attr"`
	FileRef   string `xml:"fileRef,attr"`
	ParentRef string `xml:"parentRef,attr"`
}

// openOVA opens the disk of the machine in an OVA, a tar file with an OVF that says
// which of its files are disks. Of several it is the one that a machine can start
// from. The manifest is not read: it has checksums of whole files, which would
// have to be read for them, and may be missing.
func openOVA(s source) (Disk, error) {
	noOVA := notADisk(tarName, tarNext)
	if s.member {
		return nil, noOVA
	}
	members, err := tarMembers(s)
	if err != nil {
		return nil, err
	}
	i := findOVF(members)
	if i < 0 {
		return nil, noOVA
	}
	e, err := readOVF(s, members[i])
	if err != nil {
		return nil, err
	}
	disks, err := e.disks(s, members, path.Dir(members[i].name))
	if err != nil {
		return nil, err
	}
	d, chosen, warning, err := chooseDisk(s, disks)
	if err != nil {
		return nil, err
	}
	info := d.Info()
	info.FileSize, info.Member, info.Files = s.size, disks[chosen].name, s.info("", "").Files
	for i, m := range disks {
		if i != chosen {
			info.OtherDisks = append(info.OtherDisks, m.name)
		}
	}
	if warning != "" {
		info.warn("%s", warning)
	}
	return &ovaDisk{Disk: d, info: info, close: s.close}, nil
}

// findOVF is which of the files is the OVF; below 0 where none is.
func findOVF(list []tarMember) int {
	return slices.IndexFunc(list, func(m tarMember) bool { return strings.EqualFold(path.Ext(m.name), ".ovf") })
}

// tarMembers lists the archive without reading what is in it.
func tarMembers(s source) (list []tarMember, err error) {
	r := io.NewSectionReader(s, 0, s.size)
	archive := tar.NewReader(r)
	for {
		if err := s.ended(); err != nil {
			return nil, err
		}
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return list, nil
		case len(list) == 0 && errors.Is(err, tar.ErrHeader):
			return nil, nil // the mark is all there is of a tar file
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, told{corrupt("OVA: the file was cut off inside of the archive at %d bytes; copy or download it again", s.size)}
		case err != nil:
			return nil, corrupt("OVA: reading the archive: %v", err)
		}
		at, err := r.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("reading the archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			if h.Typeflag == tar.TypeGNUSparse {
				return nil, unsupported("OVA: %.100q is stored with holes, which an OVA must not have; %s", h.Name, tarNext)
			}
			continue
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return nil, unsupported("OVA: %.100q is stored with holes, which an OVA must not have; %s", h.Name, tarNext)
			}
		}
		m := tarMember{path.Clean(strings.ReplaceAll(h.Name, `\`, "/")), at, h.Size}
		if m.size > s.size-m.at {
			// Two blocks of zeros end an archive.
			return nil, cutOff(fmt.Sprintf("OVA: file %.100q of %d bytes", m.name, m.size), s.size, m.at+roundUp(min(m.size, maxDisk), 512)+1024)
		}
		if list = append(list, m); len(list) > maxMembers {
			if findOVF(list) < 0 {
				return list, nil
			}
			return nil, unsupported("OVA: more than %d files; %s", maxMembers, tarNext)
		}
	}
}

func readOVF(s source, m tarMember) (e envelope, err error) {
	if m.size > maxOVF {
		return e, unsupported("OVA: its OVF %.100q has %d bytes, more than %d", m.name, m.size, maxOVF)
	}
	b := make([]byte, m.size)
	if err := readFull(s, b, m.at); err != nil {
		return e, fmt.Errorf("reading the OVF of the OVA: %w", err)
	}
	if err := xml.Unmarshal(b, &e); err != nil {
		return e, corrupt("OVA: its OVF %.100q cannot be read: %v", m.name, err)
	}
	return e, nil
}

// disks are the files of the archive that the OVF, which lies in folder, calls disks,
// in its order.
func (e envelope) disks(s source, members []tarMember, folder string) (list []tarMember, err error) {
	for _, d := range e.Disks {
		if d.FileRef == "" {
			continue // an empty one, which is made when the machine is
		}
		i := slices.IndexFunc(e.Files, func(f ovfFile) bool { return f.ID == d.FileRef })
		if i < 0 {
			return nil, corrupt("OVA: its OVF has the disk %.100q in a file %.100q that it does not list", d.ID, d.FileRef)
		}
		f := e.Files[i]
		if strings.EqualFold(path.Ext(f.Href), ".iso") {
			continue // VirtualBox lists optical discs as well
		}
		switch {
		case f.Compression != "" && f.Compression != "identity":
			return nil, unsupported("OVA: the disk %.100q is packed once more (%.40s); unpack the OVA (tar -xf) and then the disk (gunzip), and name that", f.Href, f.Compression)
		case f.ChunkSize != "":
			return nil, unsupported("OVA: the disk %.100q is cut into chunks; unpack the OVA (tar -xf), put them together (cat %.100s.0*), and name the result", f.Href, path.Base(f.Href))
		case d.ParentRef != "":
			return nil, unsupported("OVA: the disk %.100q is based on another one (%.100q); export the machine again without snapshots", f.Href, d.ParentRef)
		}
		at := slices.IndexFunc(members, func(m tarMember) bool {
			plain, err := url.PathUnescape(f.Href) // it is an address
			return m.name == path.Join(folder, f.Href) || err == nil && m.name == path.Join(folder, plain)
		})
		if at < 0 {
			return nil, told{corrupt("OVA: the disk %.100q (%s bytes by the OVF) is not in the archive of %d bytes: it was cut off, or the disk lies elsewhere; copy or download it again", f.Href, cmp.Or(f.Size, "unknown"), s.size)}
		}
		if !slices.Contains(list, members[at]) {
			list = append(list, members[at])
		}
	}
	switch {
	case len(list) == 0:
		return nil, told{corrupt("OVA: its OVF names no disk with content; %s", tarNext)}
	case len(list) > maxDisks:
		return nil, unsupported("OVA: more than %d disks; %s", maxDisks, tarNext)
	}
	return list, nil
}

// chooseDisk opens the only disk, or the only one that a machine can start from.
// warning: what is not read.
func chooseDisk(s source, disks []tarMember) (d Disk, chosen int, warning string, err error) {
	if len(disks) == 1 {
		d, err = openMember(s, disks[0])
		return d, 0, "", err
	}
	var starts []Disk
	var all, unread []string
	for i, m := range disks {
		one, err := openMember(s, m)
		if ended := s.ended(); ended != nil {
			return nil, 0, "", ended
		}
		said := fmt.Sprintf("%q, which starts no machine", m.name)
		switch {
		case err != nil:
			said = fmt.Sprintf("%q, which cannot be read (%v)", m.name, err)
		case canStart(one):
			starts, chosen = append(starts, one), i
			all = append(all, fmt.Sprintf("%q, which can start a machine", m.name))
			continue
		}
		all, unread = append(all, said), append(unread, said)
	}
	if len(starts) != 1 {
		return nil, 0, "", unsupported("the OVA holds %d disks, and which one is meant does not show: %s; unpack it (tar -xf), and name the disk", len(disks), strings.Join(all, "; "))
	}
	return starts[0], chosen, fmt.Sprintf("the OVA holds %d disks: this is %q, the only one that a machine can start from; not looked into: %s", len(disks), disks[chosen].name, strings.Join(unread, "; ")), nil
}

// openMember opens a file of the archive as a disk.
func openMember(s source, m tarMember) (Disk, error) {
	inside := source{
		opener:   opener{name: m.name, ended: s.ended, member: true},
		ReaderAt: io.NewSectionReader(s, m.at, m.size), size: m.size, close: func() error { return nil },
	}
	d, err := inside.open()
	if err != nil {
		return nil, fmt.Errorf("opening %.100q in the OVA: %w", m.name, err)
	}
	return d, nil
}

// canStart reports whether a firmware finds something to start on the disk.
func canStart(d Disk) bool {
	t, err := partition.Read(d, d.Size(), 0)
	if err != nil {
		return false
	}
	start := t.Startup()
	return start.Missing == "" && t.Scheme != partition.None
}
