package stocktext

func matchPacker(text string) (Kind, map[string]string, bool) { return "", nil, false }
