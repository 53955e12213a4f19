package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// InJSON does hide to each text in a JSON document, and keeps the order of its members. The
// names of members stay: whoever writes the document chose them.
func InJSON(document []byte, hide func(string) string) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var b bytes.Buffer
	if err := hideValue(d, &b, hide); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one value")
	}
	return b.Bytes(), nil
}

func hideValue(d *json.Decoder, b *bytes.Buffer, hide func(string) string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := t.(json.Delim)
	if !nested {
		if text, ok := t.(string); ok {
			t = hide(text)
		}
		return put(b, t)
	}
	b.WriteString(delim.String())
	for i := 0; d.More(); i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if err := put(b, name); err != nil {
				return err
			}
			b.WriteByte(':')
		}
		if err := hideValue(d, b, hide); err != nil {
			return err
		}
	}
	end, err := d.Token()
	if err != nil {
		return err
	}
	b.WriteString(end.(json.Delim).String())
	return nil
}

// put writes a token.
func put(b *bytes.Buffer, t json.Token) error {
	text, err := json.Marshal(t)
	b.Write(text)
	return err
}
