package cirron

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

const (
	kindInt     = 1
	kindFloat   = 2
	kindBool    = 3
	kindText    = 4
	kindUint    = 5
	kindIndex   = 6
	kindLeftOut = 127

	maxText       = 256
	maxKey        = 128
	maxAttributes = 512
	leftOutBytes  = 8
)

// Value is what a mark or an attribute can be.
type Value interface {
	int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64 | float32 | float64 | bool | string
}

// Attribute belongs to a scope, a request or a mark.
type Attribute struct {
	key  string
	kind byte
	word uint64
	text string
}

// Int is an attribute that is an integer.
func Int(key string, value int64) Attribute { return attributeOf(key, value) }

// Float is an attribute that is a floating point number.
func Float(key string, value float64) Attribute { return attributeOf(key, value) }

// Bool is an attribute that is true or false.
func Bool(key string, value bool) Attribute { return attributeOf(key, value) }

// String is an attribute that is text, of which 256 bytes are told.
func String(key, value string) Attribute { return attributeOf(key, value) }

// Index is the number of a scope among others of its name.
func Index(index int) Attribute { return Attribute{kind: kindIndex, word: uint64(index)} }

func attributeOf[V Value](key string, value V) Attribute {
	signed := func(value int64) Attribute { return Attribute{key: key, kind: kindInt, word: uint64(value)} }
	unsigned := func(value uint64) Attribute {
		if value > math.MaxInt64 {
			return Attribute{key: key, kind: kindUint, word: value}
		}
		return signed(int64(value))
	}
	float := func(value float64) Attribute {
		return Attribute{key: key, kind: kindFloat, word: math.Float64bits(value)}
	}
	switch value := any(value).(type) {
	case int:
		return signed(int64(value))
	case int8:
		return signed(int64(value))
	case int16:
		return signed(int64(value))
	case int32:
		return signed(int64(value))
	case int64:
		return signed(value)
	case uint:
		return unsigned(uint64(value))
	case uint8:
		return unsigned(uint64(value))
	case uint16:
		return unsigned(uint64(value))
	case uint32:
		return unsigned(uint64(value))
	case uint64:
		return unsigned(value)
	case float32:
		return float(float64(value))
	case float64:
		return float(value)
	case bool:
		attribute := Attribute{key: key, kind: kindBool}
		if value {
			attribute.word = 1
		}
		return attribute
	default:
		text, _ := value.(string)
		return Attribute{key: key, kind: kindText, text: text}
	}
}

// cut is the longest beginning of at most this number of bytes that ends with a whole character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// pack is the attributes as docs/probes.md has them.
func pack(attributes []Attribute) []byte {
	if len(attributes) == 0 {
		return nil
	}
	packed := make([]byte, 0, maxAttributes)
	missing := uint32(0)
	for _, attribute := range attributes {
		key, value := cut(attribute.key, maxKey), attribute.bytes()
		if len(packed)+4+len(key)+len(value)+leftOutBytes > maxAttributes {
			missing++
			continue
		}
		packed = append(packed, attribute.kind, byte(len(key)))
		packed = binary.LittleEndian.AppendUint16(packed, uint16(len(value)))
		packed = append(append(packed, key...), value...)
	}
	if missing > 0 {
		packed = append(packed, kindLeftOut, 0, 4, 0)
		packed = binary.LittleEndian.AppendUint32(packed, missing)
	}
	return packed
}

func (attribute Attribute) bytes() []byte {
	switch attribute.kind {
	case kindText:
		return []byte(cut(attribute.text, maxText))
	case kindBool:
		return []byte{byte(attribute.word)}
	default:
		return binary.LittleEndian.AppendUint64(nil, attribute.word)
	}
}
