"""The data that tests/log_archetypes.c logs, said with the official SDK and as plain JSON values."""

import base64
import re

import attrs
import numpy as np
import rerun as rr
import rerun.archetypes
import rerun.components as components
import rerun.encodings as encodings

INSTANCES = 2
RAW = {"width": 4, "height": 3, "pixel_format": None, "color_model": 2, "channel_datatype": 6}
PLANAR = {"width": 6, "height": 2, "pixel_format": 26, "color_model": None, "channel_datatype": None}
DEPTH = {"width": 1, "height": 5, "pixel_format": None, "color_model": None, "channel_datatype": 34}
H265 = 0x68657631

# Not in the table of archetypes, or without a typed call.
NEWER = {"AssetAudio", "Measurements", "Volume3D"}
UNTYPED = {"RecordingInfo", "McapChannel", "McapMessage", "McapSchema", "McapStatistics"}


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z][a-z])", "_", name).lower()


def f32(value):
    return float(np.float32(value))


def vec2(i):
    return [float(i), i + 0.25]


def vec3(i):
    return [float(i), i + 0.25, -float(i)]


def text(i):
    return f"text {i} ä"


def lat_lon(i):
    return [i + 0.1, -i - 0.2]


def blob(i):
    return bytes((250 + i + j) % 256 for j in range(3))


def color(i):
    return (0x10 + i) << 24 | (0x20 + i) << 16 | (0x30 + i) << 8 | (0xF0 - i)


def byte_blob(value):
    return base64.b64encode(value).decode()


POOLS = {
    "bool": lambda i: i % 2 == 0,
    "u16": lambda i: 60000 + i,
    "u32": lambda i: 4000000000 + i,
    "i64": lambda i: -5000000000 + i,
    "f32": lambda i: i + 0.5,
    "f64": lambda i: i + 0.1,
    "enum": lambda i: 1 + i % 2,
    "text": text,
    "vec2": vec2,
    "vec3": vec3,
    "ivec3": lambda i: [i, -i, i + 1],
    "uvec3": lambda i: [i, i + 1, i + 2],
    "quaternion": lambda i: [i + j / 4 for j in range(4)],
    "mat3x3": lambda i: [i + j / 8 for j in range(9)],
    "lat_lon": lat_lon,
    "range": lambda i: [float(i), i + 0.3],
    "color": color,
    "axes": lambda i: [1, 3, 5],
    "harmonics": lambda i: [[1 + (i + 3 * a + b) / 1024 for b in range(3)] for a in range(15)],
    "blob": lambda i: byte_blob(blob(i)),
    "axis_angle": lambda i: {"axis": vec3(i), "angle": i + 0.5},
    "edge": lambda i: {"first": text(i), "second": text(i + 1)},
    "strip2": lambda i: [vec2(i + j) for j in range(i % 3)],
    "strip3": lambda i: [vec3(i + j) for j in range(i % 3 + 1)],
    "geo_strip": lambda i: [lat_lon(i + j) for j in range(i % 3 + 1)],
}

# The pool of each component type.
POOL_OF = {
    "AlbedoFactor": "color", "AxisLength": "f32", "Blob": "blob", "CellSize": "f32", "ClassId": "u16",
    "ClearIsRecursive": "bool", "Color": "color", "DepthMeter": "f32", "DrawOrder": "f32", "EntityPath": "text",
    "FillRatio": "f32", "GeoLineString": "geo_strip", "GraphEdge": "edge", "GraphNode": "text", "HalfSize2D": "vec2",
    "HalfSize3D": "vec3", "ImageBuffer": "blob", "ImagePlaneDistance": "f32", "IsKeyframe": "bool", "KeypointId": "u16",
    "LatLon": "lat_lon", "Length": "f32", "LineStrip2D": "strip2", "LineStrip3D": "strip3", "MarkerSize": "f32",
    "MediaType": "text", "Name": "text", "Opacity": "f32", "PinholeProjection": "mat3x3", "Position2D": "vec2",
    "Position3D": "vec3", "Radius": "f32", "Resolution": "vec2", "RotationAxisAngle": "axis_angle",
    "RotationQuat": "quaternion", "Scalar": "f64", "Scale3D": "vec3", "ShowLabels": "bool",
    "SphericalHarmonics3Rgb": "harmonics", "SphericalHarmonicsDegree": "u32", "StrokeWidth": "f32", "Texcoord2D": "vec2",
    "Text": "text", "TextLogLevel": "text", "TransformFrameId": "text", "TransformMat3x3": "mat3x3",
    "Translation3D": "vec3", "TriangleIndices": "uvec3", "ValueRange": "range", "Vector2D": "vec2", "Vector3D": "vec3",
    "VideoSample": "blob", "VideoTimestamp": "i64", "ViewCoordinates": "axes", "Visible": "bool", "VoxelIndex": "ivec3",
    "VoxelSize": "vec3", "VoxelValue": "f32",
    **{name: "enum" for name in ("AggregationPolicy", "Colormap", "FillMode", "GraphType", "InterpolationMode",
                                 "MagnificationFilter", "MarkerShape", "MeshFaceRendering", "PointShading",
                                 "TransformRelation")},
}  # fmt: skip

# Fields with several values; all others have one.
PLURAL = re.compile(
    r"^(scalars|colors|widths|names|visible_series|markers|marker_sizes|half_sizes|centers|radii|labels|class_ids|positions"
    r"|keypoint_ids|strips|vectors|origins|line_radii|rotation_axis_angles|quaternions|lengths|translations|scales"
    r"|vertex_\w+|triangle_indices|line_strings|node_ids|edges|state|visible|voxel_indices|sh_coefficients)$"
)
PLURAL_IN = {("InstancePoses3D", "mat3x3"), ("StateConfiguration", "values"), ("VoxelGridMap", "values")}

TENSOR = {"shape": [3], "names": None, "buffer": [0.1, 1.1, 2.1]}
ABSCISSA = {"shape": [3], "names": None, "buffer": [-5000000000, -4999999999, -4999999998]}
CLASSES = [
    {"class_id": 1, "class_description": {"info": {"id": 1, "label": text(0), "color": color(0)},
                                          "keypoint_annotations": [], "keypoint_connections": []}},
    {"class_id": 2, "class_description": {"info": {"id": 2, "label": None, "color": color(2)},
                                          "keypoint_annotations": [{"id": 7, "label": "hand", "color": color(1)},
                                                                   {"id": 8, "label": None, "color": None}],
                                          "keypoint_connections": [{"keypoint0": 7, "keypoint1": 8},
                                                                   {"keypoint0": 8, "keypoint1": 7},
                                                                   {"keypoint0": 7, "keypoint1": 7}]}},
    {"class_id": 3, "class_description": {"info": {"id": 3, "label": "", "color": None},
                                          "keypoint_annotations": [{"id": 7, "label": "hand", "color": color(1)}],
                                          "keypoint_connections": []}},
]  # fmt: skip
SPECIAL = {
    "AnnotationContext:context": [CLASSES],
    "BarChart:values": [TENSOR],
    "BarChart:abscissa": [ABSCISSA],
    "Tensor:data": [TENSOR],
    "Image:format": [RAW],
    "GridMap:format": [RAW],
    "Mesh3D:albedo_texture_format": [RAW],
    "SegmentationImage:format": [PLANAR],
    "DepthImage:format": [DEPTH],
    "VideoStream:codec": [H265],
}


def archetypes():
    """name -> [(field, component type)] of the SDK's archetypes, in its own order."""
    found = {}
    for name in dir(rerun.archetypes):
        archetype = getattr(rerun.archetypes, name)
        if isinstance(archetype, type) and attrs.has(archetype):
            found[name] = [
                (f.name, getattr(archetype, f"descriptor_{f.name}")().component_type.removeprefix("rerun.components."))
                for f in attrs.fields(archetype)
            ]
    return found


def plain(archetype, field, component, position):
    """What a dump shows of a field: a list of instances as JSON values."""
    column = f"{archetype}:{field}"
    if column in SPECIAL:
        return SPECIAL[column]
    count = INSTANCES if PLURAL.match(field) or (archetype, field) in PLURAL_IN else 1
    return [POOLS[POOL_OF[component]](position + i) for i in range(count)]


def tensor(value, dtype):
    return encodings.TensorData(array=np.array(value["buffer"], dtype).reshape(value["shape"]), dim_names=value["names"])


def annotation(value):
    return rr.AnnotationInfo(id=value["id"], label=value["label"], color=value["color"])


def native(component, values):
    """The same, as the official SDK takes it."""
    if component == "AnnotationContext":
        return [
            rr.ClassDescription(
                info=annotation(c["class_description"]["info"]),
                keypoint_annotations=[annotation(k) for k in c["class_description"]["keypoint_annotations"]],
                keypoint_connections=[
                    (p["keypoint0"], p["keypoint1"]) for p in c["class_description"]["keypoint_connections"]
                ],
            )
            for c in values[0]
        ]
    if component == "TensorData":
        return tensor(values[0], np.int64 if isinstance(values[0]["buffer"][0], int) else np.float64)
    if component == "ImageFormat":
        return components.ImageFormat(**values[0])
    pool = POOL_OF.get(component)
    if pool == "blob":
        return base64.b64decode(values[0])
    if pool == "mat3x3":
        matrices = [np.array(m).reshape(3, 3).T for m in values]
        return matrices[0] if len(matrices) == 1 else matrices
    if pool == "quaternion":
        return [rr.Quaternion(xyzw=q) for q in values]
    if pool == "axis_angle":
        return [rr.RotationAxisAngle(axis=a["axis"], angle=a["angle"]) for a in values]
    if pool == "edge":
        return [(e["first"], e["second"]) for e in values]
    if pool == "color":
        return np.array(values, np.uint32)
    if pool == "harmonics":
        return np.array(values, np.float16)
    if pool in ("strip2", "strip3", "geo_strip"):
        return [np.array(s, np.float64).reshape(-1, 3 if pool == "strip3" else 2) for s in values]
    return values


def rows():
    """(entity, archetype of the SDK or None, {column: plain values}) of every row that both sides log."""
    for name, fields in archetypes().items():
        if name in NEWER or name in UNTYPED:
            continue
        values = {f"{name}:{field}": plain(name, field, c, i) for i, (field, c) in enumerate(fields)}
        build = getattr(rerun.archetypes, name).from_fields
        arguments = {field: native(c, values[f"{name}:{field}"]) for field, c in fields}
        yield snake(name), build(**arguments), values
    for i, dtype in enumerate("u8 u16 u32 u64 i8 i16 i32 i64 f16 f32 f64".split()):
        kind = np.dtype({"u": "uint", "i": "int", "f": "float"}[dtype[0]] + dtype[1:])
        value = {"shape": [2, 3], "names": ["height", "width"] if i % 2 == 0 else None}
        array = np.arange(6).astype(kind).reshape(2, 3)
        value["buffer"] = byte_blob(array.tobytes()) if dtype == "u8" else array.flatten().tolist()
        yield (
            f"tensor/{dtype}",
            rr.Tensor(encodings.TensorData(array=array, dim_names=value["names"])),
            {"Tensor:data": [value]},
        )
    edge = {"first": "a\ufffd", "second": "\ufffd(b"}
    yield "odd/edges", rr.GraphEdges.from_fields(edges=native("GraphEdge", [edge])), {"GraphEdges:edges": [edge]}
    odd = {"TextLog:text": ["\ufffd!"], "TextLog:level": ["\ufffd"]}
    yield "odd/text", rr.TextLog("\ufffd!", level="\ufffd"), odd
    yield "short/text", rr.TextLog("a warning", level="WARN"), {"TextLog:text": ["a warning"], "TextLog:level": ["WARN"]}
    yield "short/scalar", rr.Scalars([1.5]), {"Scalars:scalars": [1.5]}
    angles = [POOLS["axis_angle"](i % 32) for i in range(1000)]
    yield (
        "many/poses",
        rr.InstancePoses3D.from_fields(rotation_axis_angles=native("RotationAxisAngle", angles), scales=[vec3(1)]),
        {"InstancePoses3D:rotation_axis_angles": angles, "InstancePoses3D:scales": [vec3(1)]},
    )
    edges = [POOLS["edge"](i % 28) for i in range(1000)]
    yield "many/edges", rr.GraphEdges.from_fields(edges=native("GraphEdge", edges)), {"GraphEdges:edges": edges}
    yield (
        "empty/boxes",
        rr.Boxes2D.from_fields(half_sizes=[], colors=[color(0)], labels=[]),
        {"Boxes2D:half_sizes": [], "Boxes2D:colors": [color(0)], "Boxes2D:labels": []},
    )
    yield "empty/edges", rr.GraphEdges.from_fields(edges=[]), {"GraphEdges:edges": []}


def save_official(path):
    """Logs all rows with the official SDK, timed and static, and returns entity -> {column: plain values}."""
    rr.init("archetypes", recording_id="official", strict=True)
    rr.save(path)
    expected = {}
    for entity, archetype, values in rows():
        rr.log(entity, archetype)
        expected["/" + entity] = values
        if "/" not in entity:
            rr.log(f"static/{entity}", archetype, static=True)
            expected[f"/static/{entity}"] = values
    rr.disconnect()
    return expected
