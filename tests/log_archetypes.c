/* Logs every archetype with every field, one entity each, to the recording argv[1]; tests/oracle/archetype_values.py
 * says the same data in Python. Field number `k` of an archetype takes its values from position k of the pools. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rrdkit/rrdkit.h"

enum { POOL = 32 };

static bool bools[POOL];
static uint16_t u16s[POOL];
static uint32_t u32s[POOL];
static int64_t i64s[POOL];
static float f32s[POOL];
static double f64s[POOL];
static uint8_t enums[POOL], bytes[POOL];
static const char *texts[POOL];
static char text_bytes[POOL][16];
static rk_vec2 vec2s[POOL];
static rk_vec3 vec3s[POOL];
static rk_ivec3 ivec3s[POOL];
static rk_uvec3 uvec3s[POOL];
static rk_quaternion quaternions[POOL];
static rk_mat3x3 mats[POOL];
static rk_lat_lon lat_lons[POOL];
static rk_range ranges[POOL];
static rk_color colors[POOL];
static rk_view_axes axes[POOL];
static rk_harmonics3 harmonics[POOL];
static rk_axis_angle axis_angles[POOL];
static rk_graph_edge edges[POOL];
static rk_span strips2[POOL], strips3[POOL], geo_strips[POOL], blobs[POOL];

static void fill_pools(void)
{
  for (int i = 0; i < POOL; i++) {
    const float f = (float)i;
    bools[i] = i % 2 == 0;
    u16s[i] = (uint16_t)(60000 + i);
    u32s[i] = 4000000000U + (uint32_t)i;
    i64s[i] = -5000000000 + i;
    f32s[i] = f + 0.5F;
    f64s[i] = f + 0.1;
    enums[i] = (uint8_t)(1 + i % 2);
    bytes[i] = (uint8_t)(250 + i);
    (void)snprintf(text_bytes[i], sizeof text_bytes[i], "text %d \xC3\xA4", i);
    texts[i] = text_bytes[i];
    vec2s[i] = (rk_vec2){f, f + 0.25F};
    vec3s[i] = (rk_vec3){f, f + 0.25F, -f};
    ivec3s[i] = (rk_ivec3){i, -i, i + 1};
    uvec3s[i] = (rk_uvec3){(uint32_t)i, (uint32_t)i + 1, (uint32_t)i + 2};
    quaternions[i] = (rk_quaternion){f, f + 0.25F, f + 0.5F, f + 0.75F};
    for (int j = 0; j < 9; j++) {
      mats[i].m[j] = f + (float)j / 8;
    }
    lat_lons[i] = (rk_lat_lon){(double)i + 0.1, -(double)i - 0.2};
    ranges[i] = (rk_range){(double)i, (double)i + 0.3};
    colors[i] = RK_RGBA(0x10 + i, 0x20 + i, 0x30 + i, 0xF0 - i);
    axes[i] = (rk_view_axes){1, 3, 5};
    for (int j = 0; j < 45; j++) {
      harmonics[i].coefficients[j / 3][j % 3] = (uint16_t)(0x3C00 + i + j); /* 1 and up, in steps of 2^-10 */
    }
    axis_angles[i] = (rk_axis_angle){.axis = vec3s[i], .angle = f32s[i]};
  }
  for (int i = 0; i < POOL - 4; i++) {
    edges[i] = (rk_graph_edge){texts[i], texts[i + 1]};
    strips2[i] = (rk_span){&vec2s[i], (size_t)(i % 3)};
    strips3[i] = (rk_span){&vec3s[i], (size_t)(i % 3) + 1};
    geo_strips[i] = (rk_span){&lat_lons[i], (size_t)(i % 3) + 1};
    blobs[i] = (rk_span){&bytes[i], 3};
  }
}

static rk_recording *recording;

static void check(rk_status status, const char *what)
{
  if (status != RK_OK) {
    rk_error error;
    rk_recording_error(recording, &error);
    (void)fprintf(stderr, "log_archetypes: %s: %s: %s\n", what, rk_status_text(status), error.message);
    exit(1);
  }
}

/* One row of an archetype at the entity named after it; at "static/..." the same for all times. */
#define LOG(name, ...)                                                                                                 \
  do {                                                                                                                 \
    const rk_##name row = {__VA_ARGS__};                                                                               \
    check(rk_log_##name(recording, rk_entity_at(recording, #name), &row), #name);                                      \
    check(rk_log_static_##name(recording, rk_entity_at(recording, "static/" #name), &row), "static " #name);           \
  } while (0)
#define ARRAY(field, pool, k) .field = &(pool)[k], .field##_count = 2
#define ONE(field, pool, k)   .field = &(pool)[k]
#define COPY(field, pool, k)  .field = (pool)[k]

static const rk_image_format raw = {
    .width = 4, .height = 3, .color_model = RK_COLOR_MODEL_RGB, .channel_datatype = RK_CHANNEL_DATATYPE_U8};
static const rk_image_format planar = {.width = 6, .height = 2, .pixel_format = RK_PIXEL_FORMAT_NV12};
static const rk_image_format depth = {.width = 1, .height = 5, .channel_datatype = RK_CHANNEL_DATATYPE_F32};

static void log_plain(void)
{
  LOG(text_log, COPY(text, texts, 0), COPY(level, texts, 1), ONE(color, colors, 2));
  LOG(text_document, COPY(text, texts, 0), COPY(media_type, texts, 1));
  LOG(scalars, ARRAY(scalars, f64s, 0));
  LOG(series_lines, ARRAY(colors, colors, 0), ARRAY(widths, f32s, 1), ARRAY(names, texts, 2),
      ARRAY(visible_series, bools, 3), COPY(aggregation_policy, enums, 4), COPY(interpolation_mode, enums, 5));
  LOG(series_points, ARRAY(colors, colors, 0), ARRAY(markers, enums, 1), ARRAY(names, texts, 2),
      ARRAY(visible_series, bools, 3), ARRAY(marker_sizes, f32s, 4));
  LOG(geo_points, ARRAY(positions, lat_lons, 0), ARRAY(radii, f32s, 1), ARRAY(colors, colors, 2),
      ARRAY(class_ids, u16s, 3));
  LOG(geo_line_strings, ARRAY(line_strings, geo_strips, 0), ARRAY(radii, f32s, 1), ARRAY(colors, colors, 2));
  LOG(graph_nodes, ARRAY(node_ids, texts, 0), ARRAY(positions, vec2s, 1), ARRAY(colors, colors, 2),
      ARRAY(labels, texts, 3), ONE(show_labels, bools, 4), ARRAY(radii, f32s, 5));
  LOG(graph_edges, ARRAY(edges, edges, 0), COPY(graph_type, enums, 1));
  LOG(state_change, ARRAY(state, texts, 0));
  LOG(state_configuration, ARRAY(values, texts, 0), ARRAY(labels, texts, 1), ARRAY(colors, colors, 2),
      ARRAY(visible, bools, 3));
  LOG(clear, COPY(is_recursive, bools, 0));
}

static void log_2d(void)
{
  LOG(boxes2d, ARRAY(half_sizes, vec2s, 0), ARRAY(centers, vec2s, 1), ARRAY(colors, colors, 2), ARRAY(radii, f32s, 3),
      ARRAY(labels, texts, 4), ONE(show_labels, bools, 5), ONE(draw_order, f32s, 6), ARRAY(class_ids, u16s, 7));
  LOG(points2d, ARRAY(positions, vec2s, 0), ARRAY(radii, f32s, 1), ARRAY(colors, colors, 2), ARRAY(labels, texts, 3),
      ONE(show_labels, bools, 4), ONE(draw_order, f32s, 5), ARRAY(class_ids, u16s, 6), ARRAY(keypoint_ids, u16s, 7));
  LOG(line_strips2d, ARRAY(strips, strips2, 0), ARRAY(radii, f32s, 1), ARRAY(colors, colors, 2),
      ARRAY(labels, texts, 3), ONE(show_labels, bools, 4), ONE(draw_order, f32s, 5), ARRAY(class_ids, u16s, 6));
  LOG(arrows2d, ARRAY(vectors, vec2s, 0), ARRAY(origins, vec2s, 1), ARRAY(radii, f32s, 2), ARRAY(colors, colors, 3),
      ARRAY(labels, texts, 4), ONE(show_labels, bools, 5), ONE(draw_order, f32s, 6), ARRAY(class_ids, u16s, 7));
  LOG(ellipses2d, ARRAY(half_sizes, vec2s, 0), ARRAY(centers, vec2s, 1), ARRAY(colors, colors, 2),
      ARRAY(line_radii, f32s, 3), ARRAY(labels, texts, 4), ONE(show_labels, bools, 5), ONE(draw_order, f32s, 6),
      ARRAY(class_ids, u16s, 7));
}

static void log_3d(void)
{
  LOG(boxes3d, ARRAY(half_sizes, vec3s, 0), ARRAY(centers, vec3s, 1), ARRAY(rotation_axis_angles, axis_angles, 2),
      ARRAY(quaternions, quaternions, 3), ARRAY(colors, colors, 4), ARRAY(radii, f32s, 5), COPY(fill_mode, enums, 6),
      ARRAY(labels, texts, 7), ONE(show_labels, bools, 8), ARRAY(class_ids, u16s, 9));
  LOG(points3d, ARRAY(positions, vec3s, 0), ARRAY(radii, f32s, 1), ARRAY(colors, colors, 2), ARRAY(labels, texts, 3),
      ONE(show_labels, bools, 4), COPY(point_shading, enums, 5), ARRAY(class_ids, u16s, 6),
      ARRAY(keypoint_ids, u16s, 7));
  LOG(line_strips3d, ARRAY(strips, strips3, 0), ARRAY(radii, f32s, 1), ARRAY(colors, colors, 2),
      ARRAY(labels, texts, 3), ONE(show_labels, bools, 4), ARRAY(class_ids, u16s, 5));
  LOG(arrows3d, ARRAY(vectors, vec3s, 0), ARRAY(origins, vec3s, 1), ARRAY(radii, f32s, 2), ARRAY(colors, colors, 3),
      ARRAY(labels, texts, 4), ONE(show_labels, bools, 5), ARRAY(class_ids, u16s, 6));
  LOG(ellipsoids3d, ARRAY(half_sizes, vec3s, 0), ARRAY(centers, vec3s, 1), ARRAY(rotation_axis_angles, axis_angles, 2),
      ARRAY(quaternions, quaternions, 3), ARRAY(colors, colors, 4), ARRAY(line_radii, f32s, 5),
      COPY(fill_mode, enums, 6), ARRAY(labels, texts, 7), ONE(show_labels, bools, 8), ARRAY(class_ids, u16s, 9));
  LOG(capsules3d, ARRAY(lengths, f32s, 0), ARRAY(radii, f32s, 1), ARRAY(translations, vec3s, 2),
      ARRAY(rotation_axis_angles, axis_angles, 3), ARRAY(quaternions, quaternions, 4), ARRAY(colors, colors, 5),
      ARRAY(line_radii, f32s, 6), COPY(fill_mode, enums, 7), ARRAY(labels, texts, 8), ONE(show_labels, bools, 9),
      ARRAY(class_ids, u16s, 10));
  LOG(cylinders3d, ARRAY(lengths, f32s, 0), ARRAY(radii, f32s, 1), ARRAY(centers, vec3s, 2),
      ARRAY(rotation_axis_angles, axis_angles, 3), ARRAY(quaternions, quaternions, 4), ARRAY(colors, colors, 5),
      ARRAY(line_radii, f32s, 6), COPY(fill_mode, enums, 7), ARRAY(labels, texts, 8), ONE(show_labels, bools, 9),
      ARRAY(class_ids, u16s, 10));
  LOG(mesh3d, ARRAY(vertex_positions, vec3s, 0), ARRAY(triangle_indices, uvec3s, 1), ARRAY(vertex_normals, vec3s, 2),
      ARRAY(vertex_colors, colors, 3), ARRAY(vertex_texcoords, vec2s, 4), ONE(albedo_factor, colors, 5),
      COPY(face_rendering, enums, 6), COPY(albedo_texture_buffer, blobs, 7), .albedo_texture_format = raw,
      ARRAY(class_ids, u16s, 9));
  LOG(asset3d, COPY(blob, blobs, 0), COPY(media_type, texts, 1), ONE(albedo_factor, colors, 2));
  LOG(voxel_grid_map, ARRAY(voxel_indices, ivec3s, 0), ONE(voxel_size, vec3s, 1), ARRAY(values, f32s, 2),
      ARRAY(colors, colors, 3), ONE(translation, vec3s, 4), ONE(rotation_axis_angle, axis_angles, 5),
      ONE(quaternion, quaternions, 6), ONE(opacity, f32s, 7), ONE(value_range, ranges, 8), COPY(colormap, enums, 9));
  LOG(gaussian_splats3d, ARRAY(centers, vec3s, 0), ARRAY(scales, vec3s, 1), ARRAY(quaternions, quaternions, 2),
      ARRAY(colors, colors, 3), ARRAY(sh_coefficients, harmonics, 4), ONE(spherical_harmonics_degree, u32s, 5));
}

static void log_spaces(void)
{
  LOG(transform3d, ONE(translation, vec3s, 0), ONE(rotation_axis_angle, axis_angles, 1),
      ONE(quaternion, quaternions, 2), ONE(scale, vec3s, 3), ONE(mat3x3, mats, 4), COPY(relation, enums, 5),
      COPY(child_frame, texts, 6), COPY(parent_frame, texts, 7));
  LOG(instance_poses3d, ARRAY(translations, vec3s, 0), ARRAY(rotation_axis_angles, axis_angles, 1),
      ARRAY(quaternions, quaternions, 2), ARRAY(scales, vec3s, 3), ARRAY(mat3x3, mats, 4));
  LOG(transform_axes3d, COPY(axis_length, f32s, 0), ONE(show_frame, bools, 1));
  LOG(coordinate_frame, COPY(frame, texts, 0));
  LOG(view_coordinates, ONE(xyz, axes, 0));
  LOG(pinhole, ONE(image_from_camera, mats, 0), ONE(resolution, vec2s, 1), ONE(camera_xyz, axes, 2),
      COPY(child_frame, texts, 3), COPY(parent_frame, texts, 4), ONE(image_plane_distance, f32s, 5),
      ONE(color, colors, 6), ONE(line_width, f32s, 7));
}

static void log_images(void)
{
  LOG(image, COPY(buffer, blobs, 0), .format = raw, ONE(opacity, f32s, 2), ONE(draw_order, f32s, 3),
      COPY(magnification_filter, enums, 4));
  LOG(segmentation_image, COPY(buffer, blobs, 0), .format = planar, ONE(opacity, f32s, 2), ONE(draw_order, f32s, 3));
  LOG(depth_image, COPY(buffer, blobs, 0), .format = depth, ONE(meter, f32s, 2), COPY(colormap, enums, 3),
      ONE(depth_range, ranges, 4), ONE(point_fill_ratio, f32s, 5), ONE(draw_order, f32s, 6),
      COPY(magnification_filter, enums, 7));
  LOG(encoded_image, COPY(blob, blobs, 0), COPY(media_type, texts, 1), ONE(opacity, f32s, 2), ONE(draw_order, f32s, 3),
      COPY(magnification_filter, enums, 4));
  LOG(encoded_depth_image, COPY(blob, blobs, 0), COPY(media_type, texts, 1), ONE(meter, f32s, 2),
      COPY(colormap, enums, 3), ONE(depth_range, ranges, 4), ONE(point_fill_ratio, f32s, 5), ONE(draw_order, f32s, 6),
      COPY(magnification_filter, enums, 7));
  LOG(grid_map, COPY(data, blobs, 0), .format = raw, COPY(cell_size, f32s, 2), ONE(translation, vec3s, 3),
      ONE(rotation_axis_angle, axis_angles, 4), ONE(quaternion, quaternions, 5), ONE(opacity, f32s, 6),
      ONE(draw_order, f32s, 7), COPY(colormap, enums, 8));
  LOG(asset_video, COPY(blob, blobs, 0), COPY(media_type, texts, 1));
  LOG(video_frame_reference, COPY(timestamp, i64s, 0), COPY(video_reference, texts, 1), ONE(opacity, f32s, 2),
      ONE(draw_order, f32s, 3));
  LOG(video_stream, .codec = RK_VIDEO_CODEC_H265, COPY(sample, blobs, 1), ONE(is_keyframe, bools, 2),
      ONE(opacity, f32s, 3), ONE(draw_order, f32s, 4));
}

static void log_tensors(void)
{
  static const uint64_t shape[2] = {2, 3};
  static const char *const names[2] = {"height", "width"};
  static const struct {
    const char *entity;
    rk_tensor_datatype datatype;
    size_t size;
  } datatypes[] = {
      {"u8", RK_TENSOR_DATATYPE_U8, 1},   {"u16", RK_TENSOR_DATATYPE_U16, 2}, {"u32", RK_TENSOR_DATATYPE_U32, 4},
      {"u64", RK_TENSOR_DATATYPE_U64, 8}, {"i8", RK_TENSOR_DATATYPE_I8, 1},   {"i16", RK_TENSOR_DATATYPE_I16, 2},
      {"i32", RK_TENSOR_DATATYPE_I32, 4}, {"i64", RK_TENSOR_DATATYPE_I64, 8}, {"f16", RK_TENSOR_DATATYPE_F16, 2},
      {"f32", RK_TENSOR_DATATYPE_F32, 4}, {"f64", RK_TENSOR_DATATYPE_F64, 8}};
  uint8_t data[6 * 8];
  for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++) {
    /* Element n holds the value n (or its bit pattern below, for floats), little-endian. */
    memset(data, 0, sizeof data);
    for (size_t n = 0; n < 6; n++) {
      const float single = (float)n;
      const double full = (double)n;
      static const uint16_t half[6] = {0, 0x3C00, 0x4000, 0x4200, 0x4400, 0x4500};
      uint8_t *to = data + n * datatypes[i].size;
      if (datatypes[i].datatype == RK_TENSOR_DATATYPE_F16) {
        memcpy(to, &half[n], sizeof half[n]);
      } else if (datatypes[i].datatype == RK_TENSOR_DATATYPE_F32) {
        memcpy(to, &single, sizeof single);
      } else if (datatypes[i].datatype == RK_TENSOR_DATATYPE_F64) {
        memcpy(to, &full, sizeof full);
      } else {
        *to = (uint8_t)n;
      }
    }
    char entity[32];
    (void)snprintf(entity, sizeof entity, "tensor/%s", datatypes[i].entity);
    const rk_tensor_data tensor = {.shape = shape,
                                   .rank = 2,
                                   .names = i % 2 == 0 ? names : NULL,
                                   .datatype = (uint8_t)datatypes[i].datatype,
                                   .data = data};
    check(rk_log_tensor(recording, rk_entity_at(recording, entity), &(rk_tensor){.data = &tensor}), entity);
  }
  static const uint64_t bars[1] = {3};
  const rk_tensor_data values = {.shape = bars, .rank = 1, .datatype = RK_TENSOR_DATATYPE_F64, .data = f64s};
  const rk_tensor_data abscissa = {.shape = bars, .rank = 1, .datatype = RK_TENSOR_DATATYPE_I64, .data = i64s};
  LOG(tensor, .data = &values, ONE(value_range, ranges, 1));
  LOG(bar_chart, .values = &values, ONE(color, colors, 1), .abscissa = &abscissa, ARRAY(widths, f32s, 3));
}

static void log_annotations(void)
{
  const rk_annotation_info keypoints[] = {{.id = 7, .label = "hand", .color = &colors[1]}, {.id = 8}};
  static const rk_keypoint_pair pairs[] = {{7, 8}, {8, 7}, {7, 7}};
  const rk_class_description classes[] = {
      {.info = {.id = 1, .label = texts[0], .color = &colors[0]}},
      {.info = {.id = 2, .color = &colors[2]},
       .keypoint_annotations = keypoints,
       .keypoint_annotations_count = 2,
       .keypoint_connections = pairs,
       .keypoint_connections_count = 3},
      {.info = {.id = 3, .label = ""}, .keypoint_annotations = keypoints, .keypoint_annotations_count = 1},
  };
  LOG(annotation_context, .context = classes, .context_count = 3);
}

/* Sizes that take the conversions beyond their room on the stack, and the two ways of saying little. */
static void log_sizes(void)
{
  enum { MANY = 1000 };
  static rk_axis_angle many[MANY];
  static rk_graph_edge many_edges[MANY];
  for (size_t i = 0; i < MANY; i++) {
    many[i] = axis_angles[i % POOL];
    many_edges[i] = edges[i % (POOL - 4)];
  }
  check(rk_log_instance_poses3d(recording, rk_entity_at(recording, "many/poses"),
                                &(rk_instance_poses3d){.rotation_axis_angles = many,
                                                       .rotation_axis_angles_count = MANY,
                                                       ONE(scales, vec3s, 1),
                                                       .scales_count = 1}),
        "many poses");
  check(rk_log_graph_edges(recording, rk_entity_at(recording, "many/edges"),
                           &(rk_graph_edges){.edges = many_edges, .edges_count = MANY}),
        "many edges");
  check(rk_log_boxes2d(recording, rk_entity_at(recording, "empty/boxes"),
                       &(rk_boxes2d){.half_sizes = vec2s, ONE(colors, colors, 0), .colors_count = 1, .labels = texts}),
        "empty boxes");
  check(rk_log_graph_edges(recording, rk_entity_at(recording, "empty/edges"), &(rk_graph_edges){.edges = edges}),
        "empty edges");
  /* Not UTF-8: what is invalid is replaced, also where the text lies inside a converted value. */
  static const rk_graph_edge odd = {"a\xFF", "\xC3(b"};
  check(rk_log_graph_edges(recording, rk_entity_at(recording, "odd/edges"),
                           &(rk_graph_edges){.edges = &odd, .edges_count = 1}),
        "odd edges");
  check(rk_log_text(recording, rk_entity_at(recording, "odd/text"), "\x80", "\xE2\x82!"), "odd text");
  check(rk_log_text(recording, rk_entity_at(recording, "short/text"), RK_LEVEL_WARN, "a warning"), "text");
  check(rk_log_scalar(recording, rk_entity_at(recording, "short/scalar"), 1.5), "scalar");
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    (void)fprintf(stderr, "usage: log_archetypes RECORDING\n");
    return 2;
  }
  rk_error error;
  const rk_recording_options options = {.application_id = "archetypes", .recording_id = "ours"};
  if (rk_recording_open(argv[1], &options, &recording, &error) != RK_OK) {
    (void)fprintf(stderr, "log_archetypes: %s\n", error.message);
    return 1;
  }
  fill_pools();
  log_plain();
  log_2d();
  log_3d();
  log_spaces();
  log_images();
  log_tensors();
  log_annotations();
  log_sizes();
  check(rk_recording_close(recording), "close");
  rk_recording_free(recording);
  return 0;
}
