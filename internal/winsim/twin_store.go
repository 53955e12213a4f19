package winsim

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"strings"
)

// store is the twin of store.ps1.
func (t *twin) store() int {
	lines := bufio.NewReaderSize(t.c.Stdin, 64*1024)
	first, _ := lines.ReadString('\n') // its end is an empty line, too
	first = strings.Trim(strings.TrimSpace(first), "\ufeff")
	if first == "" {
		return t.refuseToStore("no-input", "nothing came")
	}
	if _, err := base64.StdEncoding.DecodeString(first); err != nil {
		return t.refuseToStore(notBase64.name, notBase64.message)
	}
	var p receiveParameters
	var path string
	var size, offset int64
	err := parameters(first, &p)
	if err == nil {
		path, size, offset, err = p.check(t)
	}
	if err != nil {
		return t.refuseToStore("script", err.Error())
	}
	t.c.Stdin = lines
	return t.storeAt(path, path+"."+p.SHA256[:8]+".part", &p, size, offset)
}

func (t *twin) storeAt(path, part string, p *receiveParameters, size, offset int64) int {
	have := int64(0)
	if info, err := t.g.drive.Stat(part); err == nil && !info.IsDir() {
		have = info.Size()
	}
	if p.Probe {
		complete := false
		if info, err := t.g.drive.Stat(path); err == nil && !info.IsDir() && info.Size() == size {
			found, _ := t.hash(path)
			complete = found == p.SHA256
		}
		return t.stored(have, complete)
	}
	if t.g.drive.IsDir(path) {
		return t.refuseToStore("access-denied", "it is a folder")
	}
	if offset > have {
		return t.refuseToStore("resume-mismatch", fmt.Sprintf("offset %d is beyond the %d bytes received", offset, have))
	}
	have, err := t.take(part, size, offset)
	if err != nil {
		e := receiveError(err, path)
		return t.refuseToStore(e.name, e.message)
	}
	if have < size {
		return t.stored(have, false)
	}
	found, err := t.hash(part)
	if err == nil && found != p.SHA256 {
		_ = t.g.drive.Remove(part) // as File.Delete
		return t.refuseToStore("hash-mismatch", "the bytes received have another SHA-256")
	}
	if err == nil {
		err = t.g.drive.Rename(part, path)
	}
	if err != nil {
		e := fileError(err, path)
		return t.refuseToStore(e.name, e.message)
	}
	t.write(document{{"script", "store"}, {"schema", 1}, {"ok", true}, {"have", size}, {"complete", true}, {"sha256", found}})
	return 0
}

func (t *twin) stored(have int64, complete bool) int {
	t.write(document{{"script", "store"}, {"schema", 1}, {"ok", true}, {"have", have}, {"complete", complete}})
	return 0
}

func (t *twin) refuseToStore(name, message string) int {
	t.write(document{{"script", "store"}, {"schema", 1}, {"ok", false}, {"error", document{{"name", name}, {"message", notASCII(message)}}}})
	return 0
}
