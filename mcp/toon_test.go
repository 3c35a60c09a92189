package mcp

import "testing"

func TestToon(t *testing.T) {
	for in, want := range map[string]string{
		`{"id":"a1","n":2,"ok":true,"none":null,"list":[],"obj":{}}`: "id: a1\nn: 2\nok: true\nnone: null\nlist: []\nobj:",
		`[{"id":"a","s":"x, y"},{"s":"z","id":"b"}]`:                 "[2]{id,s}:\n  a,\"x, y\"\n  b,z",
		`{"l":[{"a":{"x":1,"y":"q"}},{"a":{"y":"-","x":2}}]}`:        "l[2]{a{x,y}}:\n  1,q\n  2,\"-\"",
		`{"m":{"eu":{"n":1},"us":{"n":2}}}`:                          "m[2:]{n}:\n  eu: 1\n  us: 2",
		`{"m":{"eu":{"n":1}}}`:                                       "m:\n  eu:\n    n: 1",
		`{"l":[{"a":[1,2],"b":3},"s",[]]}`:                           "l[3]:\n  - a[2]: 1,2\n    b: 3\n  - s\n  - [0]:",
		`{"l":[{"t":[{"a":1}]},{}]}`:                                 "l[2]:\n  - t[1]{a}:\n      1\n  -",
		`["true","05","+1","","a:b","#c"," d","e\nf","\u0001","é"]`:  `[10]: "true","05","+1","","a:b","#c"," d","e\nf","\u0001",é`,
		`{"a-b":1e3,"c":-0,"d":1.50}`:                                "\"a-b\": 1000\nc: 0\nd: 1.5",
		`[]`:                                                         "[]",
		`{}`:                                                         "",
		`"x"`:                                                        "x",
	} {
		n, err := parseTree([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := n.toon(); got != want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", in, got, want)
		}
	}
}
