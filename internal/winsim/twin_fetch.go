package winsim

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"strings"
)

// fetch is the twin of fetch.ps1.
func (t *twin) fetch() int {
	p := struct {
		Files        []string
		Bytes, Total int64
	}{}
	if _, err := t.inlineInput(&p); err != nil {
		t.inlineFailed("fetch", err)
		return 0
	}
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	var results []string
	for _, file := range p.Files {
		data, err := t.g.drive.ReadFile(file)
		if err != nil {
			kind := t.g.openError(err, file).kind
			results = append(results, kind[strings.LastIndexByte(kind, '.')+1:])
			continue
		}
		data = data[max(0, int64(len(data))-p.Bytes):]
		if int64(len(data)) > p.Total {
			results = append(results, "RuntimeException")
			continue
		}
		p.Total -= int64(len(data))
		w, err := archive.Create(file)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.inlineFailed("fetch", err)
			return 0
		}
		results = append(results, "ok")
	}
	if err := archive.Close(); err != nil {
		t.inlineFailed("fetch", err)
		return 0
	}
	for b := content.Bytes(); len(b) > 0; {
		n := min(500_000, len(b))
		t.write(document{{"script", "fetch"}, {"schema", 1}, {"ok", true}, {"data", base64.StdEncoding.EncodeToString(b[:n])}})
		b = b[n:]
	}
	t.c.say(`{"script":"fetch","schema":1,"ok":true,"size":%d,"results":["%s"]}`, content.Len(), strings.Join(results, `","`))
	return 0
}
