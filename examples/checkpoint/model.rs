//! The tensors of a model like GPT-NeoX, in one flat buffer whose layout is that of the file.

use clap::Args;

const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;

/// The model's shape. The published 410M model is 1024, 24 and 50432.
#[derive(Args, Clone, Copy)]
pub struct Shape {
    /// Width of a layer.
    #[arg(long, default_value_t = 768)]
    pub hidden: usize,
    /// Layers.
    #[arg(long, default_value_t = 12)]
    pub layers: usize,
    /// Tokens that it knows.
    #[arg(long, default_value_t = 12_608)]
    pub vocabulary: usize,
}

/// One tensor's place, in whole pages.
#[derive(Clone, Copy)]
pub struct Tensor {
    /// Where it begins in the buffer, and in a file.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

impl Shape {
    /// The options that give another process the same.
    pub fn arguments(self) -> Vec<String> {
        vec![format!("--hidden={}", self.hidden), format!("--layers={}", self.layers), format!("--vocabulary={}", self.vocabulary)]
    }

    /// Elements of each tensor, in their order in a checkpoint.
    fn elements(self) -> Vec<usize> {
        let wide = self.hidden;
        let layer = [
            [wide, wide, wide, wide].as_slice(), // two layer norms: weight and bias each
            &[3 * wide * wide, 3 * wide],        // query, key and value
            &[wide * wide, wide],                // the attention's output
            &[4 * wide * wide, 4 * wide],        // up
            &[4 * wide * wide, wide],            // down
        ]
        .concat();
        let mut all = vec![self.vocabulary * wide];
        (0..self.layers).for_each(|_| all.extend(&layer));
        all.extend([wide, wide, self.vocabulary * wide]);
        all
    }

    /// The tensors of 4-byte elements; the first page is the header's.
    pub fn tensors(self) -> Vec<Tensor> {
        let mut offset = PAGE;
        let place = |elements: usize| {
            let tensor = Tensor { offset, length: (elements * 4).next_multiple_of(PAGE) };
            offset += tensor.length;
            tensor
        };
        self.elements().into_iter().map(place).collect()
    }

    /// Bytes of a checkpoint.
    pub fn bytes(self) -> usize {
        self.tensors().last().map_or(PAGE, |last| last.offset + last.length)
    }
}

/// The model in memory.
pub struct Model {
    memory: Vec<u8>,
    start: usize,
    length: usize,
    /// Its tensors.
    pub tensors: Vec<Tensor>,
}

impl Model {
    /// Memory that nobody touched yet, from a multiple of 2 MiB on.
    pub fn fresh(shape: Shape) -> Model {
        let length = shape.bytes();
        let memory = vec![0; length + HUGE];
        let start = memory.as_ptr().align_offset(HUGE);
        Model { memory, start, length, tensors: shape.tensors() }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.length]
    }

    /// All of it, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }

    /// A training step on one tensor: all of its elements change.
    pub fn change(&mut self, number: usize, step: u64) {
        let Tensor { offset, length } = self.tensors[number];
        let mut state = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (step << 1 | 1);
        for word in self.bytes_mut()[offset..offset + length].chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.copy_from_slice(&state.to_ne_bytes());
        }
    }

    /// A sum that depends on all bytes and their places.
    pub fn sum(&self) -> u64 {
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("8 bytes"));
        self.bytes().chunks_exact(8).fold(0_u64, |sum, bytes| sum.rotate_left(5).wrapping_add(word(bytes)))
    }

    /// Which tensors a step changes: `percent` of the bytes, the last ones, as when the top layers are trained, or any.
    pub fn chosen(&self, percent: usize, step: u64, any: bool) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.tensors.len()).rev().collect();
        if any {
            let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            order.sort_by_cached_key(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 20
            });
        }
        let mut left = self.length * percent / 100;
        order.retain(|number| {
            let fits = self.tensors[*number].length <= left;
            left -= if fits { self.tensors[*number].length } else { 0 };
            fits
        });
        order
    }
}
