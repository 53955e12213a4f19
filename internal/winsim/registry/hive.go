package registry

import (
	"bytes"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

// Hive returns the bytes of a hive file.
func (r *Registry) Hive(name string) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	root := hivewrite.NewKey("ROOT")
	export(root, r.hives[name])
	return hivewrite.Build(root, `\SystemRoot\System32\Config\`+name)
}

func export(to *hivewrite.Key, from *Key) {
	for _, v := range from.Values {
		switch v.Kind {
		case String:
			to.SetString(v.Name, v.Text())
		case ExpandString:
			to.SetExpandString(v.Name, v.Text())
		case DWord:
			to.SetDWord(v.Name, v.Number())
		case MultiString:
			to.SetMultiString(v.Name, v.Strings()...)
		default:
			to.SetBinary(v.Name, v.Data)
		}
	}
	for _, k := range from.Keys {
		export(to.Path(k.Name), k)
	}
}

// Load replaces a hive by the content of a hive file.
func (r *Registry) Load(name string, content []byte) error {
	hive, err := regf.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	from, err := hive.Root()
	if err != nil {
		return err
	}
	root := &Key{Name: name}
	if err := load(root, from); err != nil {
		return err
	}
	r.mu.Lock()
	r.hives[name] = root
	r.mu.Unlock()
	return nil
}

func load(to *Key, from *regf.Key) error {
	values, err := from.Values()
	if err != nil {
		return err
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			return fmt.Errorf("value %s: %w", v.Name, err)
		}
		to.Values = append(to.Values, Value{v.Name, Kind(v.Type), data})
	}
	keys, err := from.Subkeys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		child := &Key{Name: k.Name()}
		if err := load(child, k); err != nil {
			return fmt.Errorf("key %s: %w", child.Name, err)
		}
		to.Keys = append(to.Keys, child)
	}
	return nil
}
