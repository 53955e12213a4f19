package qemu

import (
	"bytes"
	"fmt"
	"image/color"
	"testing"
)

func TestParsePPM(t *testing.T) {
	img, err := parsePPM([]byte("P6\n2 1\n255\n\x01\x02\x03\xff\xfe\xfd"))
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Dx() != 2 || img.Bounds().Dy() != 1 || img.At(0, 0) != (color.RGBA{1, 2, 3, 255}) || img.At(1, 0) != (color.RGBA{255, 254, 253, 255}) {
		t.Errorf("got %v %v %v", img.Bounds(), img.At(0, 0), img.At(1, 0))
	}
	for _, bad := range []string{
		"", "P6", "P5\n1 1\n255\nx", "P6\n1 1\n255", "P6\n1 1\n255\n\x01\x02", "P6\n0 1\n255\n", "P6\n1 1\n65535\n123456",
		"P6\n99999 99999\n255\nx", "P6\n1234567 1\n255\nx", "P6\n-1 1\n255\nxxx", "P6 1 x",
	} {
		if _, err := parsePPM([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParsePPM(f *testing.F) {
	f.Add([]byte("P6\n2 1\n255\n\x01\x02\x03\xff\xfe\xfd"))
	f.Add([]byte("P6 8192 8192 255 "))
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := parsePPM(data)
		if err != nil {
			return
		}
		if size := img.Bounds().Size(); 3*size.X*size.Y > len(data) || !bytes.Contains(data, fmt.Append(nil, size.X)) {
			t.Errorf("%v out of %d bytes", size, len(data))
		}
	})
}
