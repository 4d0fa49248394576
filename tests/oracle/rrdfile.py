"""Reads Rerun .rrd files independently of rrdkit and of Rerun: frames, protobuf and LZ4 blocks by hand, Arrow by pyarrow."""

import base64
import struct

import pyarrow as pa
import pyarrow.ipc

END, SET_STORE_INFO, ARROW_MSG, BLUEPRINT_ACTIVATION = range(4)
STREAM_HEADER_SIZE = 12
FRAME_HEADER_SIZE = 16
COMPRESSION_LZ4 = 2


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def protobuf(data):
    """The fields of a message: number -> list of values (int, or bytes)."""
    fields = {}
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value = struct.unpack_from("<Q", data, at)[0]
            at += 8
        elif wire == 2:
            size, at = varint(data, at)
            value = bytes(data[at : at + size])
            assert len(value) == size, "a protobuf field runs past its message"
            at += size
        elif wire == 5:
            value = struct.unpack_from("<I", data, at)[0]
            at += 4
        else:
            raise ValueError(f"protobuf wire type {wire}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def frames(data):
    """(kind, payload) of each frame of a file that holds one stream; stops after End."""
    assert data[:4] == b"RRF2", "no RRF2 stream header"
    at = STREAM_HEADER_SIZE
    while at < len(data):
        kind, size = struct.unpack_from("<QQ", data, at)
        assert kind <= BLUEPRINT_ACTIVATION, f"frame kind {kind} at {at}"
        at += FRAME_HEADER_SIZE
        assert at + size <= len(data), f"the frame at {at - FRAME_HEADER_SIZE} runs past the file"
        yield kind, data[at : at + size]
        at += size
        if kind == END:
            return


class Chunk:
    """One chunk: its entity, its Arrow schema and record batch."""

    def __init__(self, payload):
        message = protobuf(payload)
        ipc = message[5][0]
        if message.get(2, [0])[0] == COMPRESSION_LZ4:
            ipc = pa.decompress(ipc, decompressed_size=message[3][0], codec="lz4_raw", asbytes=True)
        with pa.ipc.open_stream(ipc) as stream:
            self.schema = stream.schema
            self.batch = stream.read_next_batch()
        self.batch.validate(full=True)
        self.entity = self.schema.metadata[b"rerun:entity_path"].decode()

    def columns(self, kind):
        for index, field in enumerate(self.schema):
            if (field.metadata or {}).get(b"rerun:kind") == kind:
                yield field, self.batch.column(index)

    @property
    def is_static(self):
        return not any(self.columns(b"index"))


def chunks(path):
    with open(path, "rb") as file:
        data = file.read()
    return [Chunk(payload) for kind, payload in frames(data) if kind == ARROW_MSG]


def plain(value, kind):
    """An Arrow value as rrd-dump shows it in JSON: bytes as base64, all else as it is."""
    if not value.is_valid:
        return None
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        if pa.types.is_list(kind) and pa.types.is_uint8(kind.value_type):
            return base64.b64encode(bytes(value.as_py())).decode()
        return [plain(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: plain(value[field.name], field.type) for field in kind}
    if pa.types.is_union(kind):
        return plain(value.value, value.value.type)
    return value.as_py()


def instances(value, kind):
    """The instances of one cell of a component column, each as plain says."""
    return [plain(item, kind.value_type) for item in value]


def text_of_type(kind):
    """A type in the grammar of rk_component_at."""

    def child(field):
        name = "" if field.name == "item" else field.name
        return f"{name}{'' if field.nullable else '!'}:{text_of_type(field.type)}"

    if pa.types.is_list(kind):
        return f"+l({child(kind.value_field)})"
    if pa.types.is_fixed_size_list(kind):
        return f"+w:{kind.list_size}({child(kind.value_field)})"
    if pa.types.is_struct(kind):
        return f"+s({','.join(child(field) for field in kind)})"
    if pa.types.is_union(kind):
        assert kind.mode == "dense"
        children = ",".join(child(kind.field(i)) for i in range(kind.num_fields))
        return f"+ud:{','.join(map(str, kind.type_codes))}({children})"
    return LETTERS[kind]


LETTERS = {
    pa.null(): "n", pa.bool_(): "b", pa.int8(): "c", pa.uint8(): "C", pa.int16(): "s", pa.uint16(): "S",
    pa.int32(): "i", pa.uint32(): "I", pa.int64(): "l", pa.uint64(): "L", pa.float16(): "e", pa.float32(): "f",
    pa.float64(): "g", pa.string(): "u",
}  # fmt: skip
