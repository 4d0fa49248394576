/* The value types that archetypes are made of, laid out as in Rerun. */
#ifndef RRDKIT_TYPES_H
#define RRDKIT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "rrdkit/recording.h" /* rk_span */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rk_vec2 {
  float x, y;
} rk_vec2;

typedef struct rk_vec3 {
  float x, y, z;
} rk_vec3;

typedef struct rk_ivec3 {
  int32_t x, y, z;
} rk_ivec3;

typedef struct rk_uvec3 {
  uint32_t x, y, z;
} rk_uvec3;

typedef struct rk_quaternion {
  float x, y, z, w;
} rk_quaternion;

typedef struct rk_axis_angle {
  rk_vec3 axis;
  float angle; /* radians */
} rk_axis_angle;

typedef struct rk_mat3x3 {
  float m[9]; /* column after column */
} rk_mat3x3;

typedef struct rk_lat_lon {
  double latitude, longitude; /* degrees, EPSG:4326 */
} rk_lat_lon;

typedef struct rk_range {
  double min, max;
} rk_range;

/* Red in the highest byte, alpha (not premultiplied) in the lowest. */
typedef uint32_t rk_color;
#define RK_RGBA(r, g, b, a)                                                                                            \
  ((uint32_t)(uint8_t)(r) << 24 | (uint32_t)(uint8_t)(g) << 16 | (uint32_t)(uint8_t)(b) << 8 | (uint32_t)(uint8_t)(a))
#define RK_RGB(r, g, b) RK_RGBA(r, g, b, 255)

/* Where x, y and z point: rk_view_direction values. Initialisers for common spaces follow. */
typedef struct rk_view_axes {
  uint8_t x, y, z;
} rk_view_axes;
#define RK_VIEW_AXES_RDF                                                                                               \
  {                                                                                                                    \
    3, 2, 5                                                                                                            \
  } /* right, down, forward: cameras */
#define RK_VIEW_AXES_RUB                                                                                               \
  {                                                                                                                    \
    3, 1, 6                                                                                                            \
  } /* right, up, back: OpenGL, glTF */
#define RK_VIEW_AXES_RFU                                                                                               \
  {                                                                                                                    \
    3, 5, 1                                                                                                            \
  } /* right, forward, up: z up */
#define RK_VIEW_AXES_FLU                                                                                               \
  {                                                                                                                    \
    5, 4, 1                                                                                                            \
  } /* forward, left, up: ROS bodies */
#define RK_VIEW_AXES_FRD                                                                                               \
  {                                                                                                                    \
    5, 3, 2                                                                                                            \
  } /* forward, right, down: aircraft */

/* The 15 coefficients of degrees 1 to 3 of a Gaussian splat, each red, green, blue, as IEEE half floats. */
typedef struct rk_harmonics3 {
  uint16_t coefficients[15][3];
} rk_harmonics3;

/* The layout of an image. 0 in the last three: not given. Chroma-subsampled and planar images are told by pixel_format
 * alone; all others by color_model and channel_datatype (depth and segmentation images by channel_datatype alone). */
typedef struct rk_image_format {
  uint32_t width, height;   /* both 0: the whole format is absent */
  uint8_t pixel_format;     /* rk_pixel_format */
  uint8_t color_model;      /* rk_color_model */
  uint8_t channel_datatype; /* rk_channel_datatype */
} rk_image_format;

/* An edge of a graph: two node ids. */
typedef struct rk_graph_edge {
  const char *first, *second;
} rk_graph_edge;

/* An n-dimensional array, last dimension contiguous. */
typedef struct rk_tensor_data {
  const uint64_t *shape;    /* [rank] */
  size_t rank;              /* 0: one element */
  const char *const *names; /* [rank], or NULL */
  uint8_t datatype;         /* rk_tensor_datatype */
  const void *data;         /* as many elements as the product of the shape, at most INT32_MAX */
} rk_tensor_data;

/* How a class or keypoint id is shown. */
typedef struct rk_annotation_info {
  uint16_t id;
  const char *label;     /* NULL: none */
  const rk_color *color; /* NULL: chosen by the viewer */
} rk_annotation_info;

typedef struct rk_keypoint_pair {
  uint16_t keypoint0, keypoint1;
} rk_keypoint_pair;

/* A class of an annotation context; its id is info.id. */
typedef struct rk_class_description {
  rk_annotation_info info;
  const rk_annotation_info *keypoint_annotations;
  size_t keypoint_annotations_count;
  const rk_keypoint_pair *keypoint_connections; /* lines between keypoints */
  size_t keypoint_connections_count;
} rk_class_description;

/* Levels of TextLog that the viewer colours; any other text is shown too. */
#define RK_LEVEL_CRITICAL "CRITICAL"
#define RK_LEVEL_ERROR    "ERROR"
#define RK_LEVEL_WARN     "WARN"
#define RK_LEVEL_INFO     "INFO"
#define RK_LEVEL_DEBUG    "DEBUG"
#define RK_LEVEL_TRACE    "TRACE"

/* Media types that the viewer knows. */
#define RK_MEDIA_TYPE_TEXT     "text/plain"
#define RK_MEDIA_TYPE_MARKDOWN "text/markdown"
#define RK_MEDIA_TYPE_PNG      "image/png"
#define RK_MEDIA_TYPE_JPEG     "image/jpeg"
#define RK_MEDIA_TYPE_RVL      "application/rvl"
#define RK_MEDIA_TYPE_GLTF     "model/gltf+json"
#define RK_MEDIA_TYPE_GLB      "model/gltf-binary"
#define RK_MEDIA_TYPE_OBJ      "model/obj"
#define RK_MEDIA_TYPE_STL      "model/stl"
#define RK_MEDIA_TYPE_DAE      "model/vnd.collada+xml"
#define RK_MEDIA_TYPE_MP4      "video/mp4"

#ifdef __cplusplus
}
#endif
#endif
