//! Walks sets of numbers in CPython's order.
//!
//! CPython walks a set by the slots of its hash table, RustPython by insertion. Where the elements
//! hash the same in every CPython process (numbers, and tuples of them; not strings), programs come
//! to depend on that order, often without knowing: `list({3, 1, 2})` is sorted, `list({10, 2})` is
//! not. So such a set is walked by the slots that its elements have if they are added one by one.
//! Not covered: CPython's shortcuts for copying whole sets, which choose another table size;
//! `list.extend` and unpacking (`[*a_set]`) of sets that were added to or removed from, which
//! RustPython does without asking the set.

use std::cell::Cell;

use rustpython_vm::{
    AsObject, Py, PyObject, PyObjectRef, PyPayload, PyRef, PyResult, VirtualMachine,
    builtins::{PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyStr, PyTuple, PyType},
    class::PyClassImpl,
    function::FuncArgs,
    protocol::PyIterReturn,
    pyclass,
    types::{AsNumber, Initializer, IterNext, Iterable, Representable, SelfIter},
};

/// Replaces how sets are walked, shown and popped.
pub fn install(vm: &VirtualMachine) {
    let _ = Walk::make_static_type();
    let types = &vm.ctx.types;
    for class in [types.set_type, types.frozenset_type] {
        class.slots.iter.store(Some(iter));
        class.slots.repr.store(Some(repr));
    }
    let pop = vm.new_method("pop", types.set_type, pop);
    let name = vm.ctx.intern_str("pop");
    types.set_type.set_attr(name, pop.into());
    // RustPython sometimes reads a set's table without walking it; then the table had better be in
    // that order.
    let number = &types.set_type.slots.as_number;
    number
        .and
        .store(Some(|a, b, vm| sorted(PySet::as_number().and, a, b, vm)));
    number
        .or
        .store(Some(|a, b, vm| sorted(PySet::as_number().or, a, b, vm)));
    number
        .xor
        .store(Some(|a, b, vm| sorted(PySet::as_number().xor, a, b, vm)));
    number.subtract.store(Some(|a, b, vm| {
        sorted(PySet::as_number().subtract, a, b, vm)
    }));
    types.list_type.slots.vectorcall.store(Some(list));
    types.tuple_type.slots.vectorcall.store(Some(tuple));
}

type Operator = fn(&PyObject, &PyObject, &VirtualMachine) -> PyResult;

/// Applies an operator that makes a new set, and puts the set's table in order.
fn sorted(operator: Option<Operator>, a: &PyObject, b: &PyObject, vm: &VirtualMachine) -> PyResult {
    let made = operator.expect("sets have this operator")(a, b, vm)?;
    if let Some(set) = made.downcast_ref::<PySet>()
        && let Some(order) = by_slot(&made)
    {
        set.clear();
        for element in order {
            set.add(element, vm)?;
        }
    }
    Ok(made)
}

fn list(
    class: &PyObject,
    mut arguments: Vec<PyObjectRef>,
    count: usize,
    names: Option<&[PyObjectRef]>,
    vm: &VirtualMachine,
) -> PyResult {
    list_first_set(&mut arguments, vm);
    let class: &Py<PyType> = class.downcast_ref().expect("called as a class");
    let list = PyList::default().into_ref_with_type(vm, class.to_owned())?;
    let arguments = FuncArgs::from_vectorcall_owned(arguments, count, names);
    PyList::slot_init(list.as_object(), arguments, vm)?;
    Ok(list.into())
}

fn tuple(
    class: &PyObject,
    mut arguments: Vec<PyObjectRef>,
    count: usize,
    names: Option<&[PyObjectRef]>,
    vm: &VirtualMachine,
) -> PyResult {
    list_first_set(&mut arguments, vm);
    let class: &Py<PyType> = class.downcast_ref().expect("called as a class");
    let new = class.slots.new.load().expect("tuples can be made");
    new(
        class.to_owned(),
        FuncArgs::from_vectorcall_owned(arguments, count, names),
        vm,
    )
}

/// Puts a list of its elements in the place of a first argument that is a set of numbers.
fn list_first_set(arguments: &mut [PyObjectRef], vm: &VirtualMachine) {
    if let Some(first) = arguments.first_mut()
        && let Some(order) = by_slot(first)
    {
        *first = vm.ctx.new_list(order).into();
    }
}

fn iter(set: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    match by_slot(&set) {
        Some(order) => Ok(Walk {
            set,
            order,
            next: Cell::new(0),
        }
        .into_ref(&vm.ctx)
        .into()),
        None if set.downcastable::<PySet>() => PySet::slot_iter(set, vm),
        None => PyFrozenSet::slot_iter(set, vm),
    }
}

fn repr(set: &PyObject, vm: &VirtualMachine) -> PyResult<PyRef<PyStr>> {
    let Some(order) = by_slot(set) else {
        return match set.downcastable::<PySet>() {
            true => PySet::slot_repr(set, vm),
            false => PyFrozenSet::slot_repr(set, vm),
        };
    };
    let elements: PyResult<Vec<String>> = order
        .iter()
        .map(|element| Ok(element.repr(vm)?.to_string_lossy().into_owned()))
        .collect();
    let elements = format!("{{{}}}", elements?.join(", "));
    let class = set.class();
    let text = match class.is(vm.ctx.types.set_type) {
        true => elements,
        false => format!("{}({elements})", class.name()),
    };
    Ok(vm.ctx.new_str(text))
}

fn pop(set: PyRef<PySet>, vm: &VirtualMachine) -> PyResult {
    // Each pop looks at the whole set, so a large one is emptied in RustPython's order.
    if set.elements().len() <= 4096
        && let Some(order) = by_slot(set.as_object())
    {
        set.discard(order[0].clone(), vm)?;
        return Ok(order[0].clone());
    }
    set.pop(vm)
}

/// The iterator of a set of numbers.
#[pyclass(module = false, name = "set_iterator")]
#[derive(Debug, PyPayload)]
struct Walk {
    set: PyObjectRef,
    order: Vec<PyObjectRef>,
    next: Cell<usize>,
}

#[pyclass(flags(DISALLOW_INSTANTIATION), with(IterNext, Iterable))]
impl Walk {}

impl SelfIter for Walk {}

impl IterNext for Walk {
    fn next(walk: &Py<Self>, vm: &VirtualMachine) -> PyResult<PyIterReturn> {
        if walk.set.length(vm)? != walk.order.len() {
            return Err(vm.new_runtime_error("Set changed size during iteration".to_owned()));
        }
        let at = walk.next.get();
        walk.next.set(at + 1);
        Ok(PyIterReturn::from_result(
            walk.order.get(at).cloned().ok_or(None),
        ))
    }
}

/// The elements in the order of CPython's slots, or `None` if that order means nothing.
fn by_slot(set: &PyObject) -> Option<Vec<PyObjectRef>> {
    let elements = match set.downcast_ref::<PySet>() {
        Some(set) => set.elements(),
        None => set.downcast_ref::<PyFrozenSet>()?.elements(),
    };
    if elements.len() < 2 {
        return None;
    }
    let hashes: Option<Vec<u64>> = elements
        .iter()
        .map(|element| stable_hash(element))
        .collect();
    Some(
        slots(&hashes?)
            .into_iter()
            .map(|index| elements[index].clone())
            .collect(),
    )
}

/// CPython's table of slots (Objects/setobject.c), filled one by one: indexes by slot.
fn slots(hashes: &[u64]) -> Vec<usize> {
    const SLOTS_MIN: usize = 8;
    let mut table: Vec<Option<usize>> = vec![None; SLOTS_MIN];
    for index in 0..hashes.len() {
        place(&mut table, hashes, index);
        let used = index + 1;
        if used * 5 >= (table.len() - 1) * 3 {
            let more_than = if used > 50_000 { used * 2 } else { used * 4 };
            let mut larger = vec![None; (more_than + 1).next_power_of_two().max(SLOTS_MIN)];
            for moved in table.into_iter().flatten() {
                place(&mut larger, hashes, moved);
            }
            table = larger;
        }
    }
    table.into_iter().flatten().collect()
}

/// Puts `index` in the first free slot that CPython would try.
fn place(table: &mut [Option<usize>], hashes: &[u64], index: usize) {
    const LINEAR_PROBES: usize = 9;
    let mask = table.len() - 1;
    let mut perturb = hashes[index];
    let mut slot = perturb as usize & mask;
    loop {
        let probes = if slot + LINEAR_PROBES <= mask {
            LINEAR_PROBES
        } else {
            0
        };
        if let Some(free) = (slot..=slot + probes).find(|&slot| table[slot].is_none()) {
            table[free] = Some(index);
            return;
        }
        perturb >>= 5;
        let next = (slot as u64)
            .wrapping_mul(5)
            .wrapping_add(1)
            .wrapping_add(perturb);
        slot = next as usize & mask;
    }
}

/// The hash of a number, or a tuple of numbers, in a 64-bit CPython.
fn stable_hash(object: &PyObject) -> Option<u64> {
    let hash = if let Some(integer) = object.downcast_ref::<PyInt>() {
        i64::try_from(integer.as_bigint() % MODULUS as i64).ok()?
    } else if let Some(float) = object.downcast_ref::<PyFloat>() {
        hash_float(float.to_f64())?
    } else {
        hash_tuple(object.downcast_ref::<PyTuple>()?)?
    };
    Some(if hash == -1 { -2 } else { hash } as u64)
}

/// Numbers are hashed modulo this prime (the language reference, "Hashing of numeric types").
const MODULUS: u64 = (1 << 61) - 1;

fn hash_float(float: f64) -> Option<i64> {
    if !float.is_finite() {
        return None;
    }
    // float = mantissa * 2^exponent, and 2^61 is 1 modulo the prime.
    let bits = float.to_bits();
    let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52) & 0x7ff);
    let mantissa = if biased == 0 {
        fraction
    } else {
        fraction | 1 << 52
    };
    let exponent = biased.max(1) as i64 - 1075;
    let shift = exponent.rem_euclid(61) as u32;
    let hash = (u128::from(mantissa) << shift) % u128::from(MODULUS);
    Some(if float < 0.0 {
        -(hash as i64)
    } else {
        hash as i64
    })
}

/// xxHash of the elements' hashes (Objects/tupleobject.c).
fn hash_tuple(tuple: &Py<PyTuple>) -> Option<i64> {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    let mut hash = PRIME_5;
    for element in tuple.as_slice() {
        hash = hash.wrapping_add(stable_hash(element)?.wrapping_mul(PRIME_2));
        hash = hash.rotate_left(31).wrapping_mul(PRIME_1);
    }
    hash = hash.wrapping_add(tuple.len() as u64 ^ (PRIME_5 ^ 3_527_539));
    Some(if hash == u64::MAX {
        1_546_275_796
    } else {
        hash as i64
    })
}
