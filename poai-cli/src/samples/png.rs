//! PNG images: grey or RGB, 8 bits a channel.

use super::{Form, Numbers, Problem, bounded};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

/// The bytes that the decoder may allocate.
const MEMORY: usize = 1 << 28;

/// Reads one image. Palettes become RGB, and 16 bits become 8.
pub fn parse(bytes: &[u8], scale: f32) -> Result<Numbers, Problem> {
    let broken = |why: png::DecodingError| Problem::new("a whole PNG image", why.to_string());
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    let size = reader.output_buffer_size().unwrap_or(usize::MAX);
    bounded(size)?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    let (channels, stored) = match frame.color_type {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (1, 2),
        ColorType::Rgb => (3, 3),
        ColorType::Rgba => (3, 4),
        ColorType::Indexed => return Err(Problem::new("an image in grey or RGB", "a palette")),
    };
    if frame.bit_depth != BitDepth::Eight {
        return Err(Problem::new("8 bits a channel", format!("{:?}", frame.bit_depth)));
    }
    pixels.truncate(frame.buffer_size());
    let pixels = pixels.chunks_exact(stored);
    // Only a fully opaque image has one meaning without its background.
    if pixels.clone().any(|pixel| pixel.get(channels).is_some_and(|alpha| *alpha != 255)) {
        let got = "transparent pixels; flatten the image";
        return Err(Problem::new("an opaque image in grey or RGB", got));
    }
    let entries = pixels.flat_map(|pixel| pixel[..channels].iter());
    let entries = entries.map(|&entry| f32::from(entry) * scale).collect();
    let sizes = vec![1, height, width, channels];
    Ok(Numbers { form: Form::Image, sizes, entries, warnings: vec![] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(color: ColorType, depth: BitDepth, size: [u32; 2], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![];
        let mut encoder = png::Encoder::new(&mut bytes, size[0], size[1]);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![9, 8, 7, 6, 5, 4]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn colours_and_depths_are_read() {
        use BitDepth::{Eight, One, Sixteen};
        for (color, depth, data, sizes, expected) in [
            (ColorType::Grayscale, Eight, &[0, 255][..], [1, 1, 2, 1], &[0.0, 510.0][..]),
            (ColorType::Grayscale, One, &[0b0100_0000], [1, 1, 2, 1], &[0.0, 510.0]),
            (ColorType::Grayscale, Sixteen, &[1, 0, 2, 200], [1, 1, 2, 1], &[2.0, 4.0]),
            (ColorType::GrayscaleAlpha, Eight, &[3, 255, 4, 255], [1, 1, 2, 1], &[6.0, 8.0]),
            (ColorType::Rgb, Eight, &[1, 2, 3, 4, 5, 6], [1, 1, 2, 3], &[2., 4., 6., 8., 10., 12.]),
            (
                ColorType::Rgba,
                Eight,
                &[1, 2, 3, 255, 4, 5, 6, 255],
                [1, 1, 2, 3],
                &[2., 4., 6., 8., 10., 12.],
            ),
            (ColorType::Indexed, Eight, &[1, 0], [1, 1, 2, 3], &[12., 10., 8., 18., 16., 14.]),
        ] {
            let numbers = parse(&image(color, depth, [2, 1], data), 2.0).unwrap();
            assert_eq!((&numbers.sizes[..], &numbers.entries[..]), (&sizes[..], expected));
        }
    }

    #[test]
    fn broken_large_and_transparent_images_are_refused() {
        let honest = image(ColorType::Grayscale, BitDepth::Eight, [4, 4], &[7; 16]);
        for end in 8..honest.len() - 12 {
            parse(&honest[..end], 1.0).unwrap_err();
        }
        for at in 8..honest.len() {
            let mut bytes = honest.clone();
            bytes[at] ^= 0x20;
            _ = parse(&bytes, 1.0);
        }
        let clear = image(ColorType::GrayscaleAlpha, BitDepth::Eight, [1, 1], &[7, 254]);
        assert!(parse(&clear, 1.0).unwrap_err().to_string().contains("flatten the image"));
        // An image that declares more pixels than a file of samples may have.
        let mut huge = vec![];
        let mut encoder = png::Encoder::new(&mut huge, 1 << 17, 1 << 17);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, &[0; 8]).unwrap();
        let error = parse(&huge, 1.0).unwrap_err().to_string();
        assert!(error.contains("at most 268435456 numbers"), "{error}");
    }
}
