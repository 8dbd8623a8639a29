"""What of scipy.special has no symbolic form, and why or what to use instead: a part of the table of `graphc.refused`."""

from __future__ import annotations

_NO_ROW = "no row computes it yet; gx.callback calls SciPy's on arrays, with a derivative that you state"
_STATISTICS = (
    "a distribution function: gx.special has ndtr and the incomplete gamma and beta functions of which these are made; gx.callback calls "
    "SciPy's"
)
_POLYNOMIALS = "a polynomial: gx.polyval of its coefficients, or its recurrence in gx.scan or a Python loop"
_NUMBERS = "a table of numbers: what SciPy computes outside of the graph is a constant in it"
_COMPLEX = "its arguments or results are complex: keep real and imaginary parts as two arrays"
_STATE = "it sets or tells how SciPy itself works; a node is computed by compiled code"

_GROUPS: tuple[tuple[str, str], ...] = (
    (
        _STATISTICS,
        "bdtr bdtrc bdtri bdtrik bdtrin btdtria btdtrib chdtr chdtrc chdtri chdtriv chndtr chndtridf chndtrinc chndtrix fdtr fdtrc fdtri "
        "fdtridfd gdtr gdtrc gdtria gdtrib gdtrix kolmogi kolmogorov nbdtr nbdtrc nbdtri nbdtrik nbdtrin ncfdtr ncfdtri ncfdtridfd "
        "ncfdtridfn ncfdtrinc nctdtr nctdtridf nctdtrinc nctdtrit ndtri_exp nrdtrimn nrdtrisd owens_t pdtr pdtrc pdtri pdtrik smirnov "
        "smirnovi stdtr stdtridf stdtrit tklmbda voigt_profile btdtr btdtri",
    ),
    (
        _POLYNOMIALS,
        "assoc_laguerre assoc_legendre_p assoc_legendre_p_all chebyc chebys chebyt chebyu eval_chebyc eval_chebys eval_chebyt eval_chebyu "
        "eval_gegenbauer eval_genlaguerre eval_hermite eval_hermitenorm eval_jacobi eval_laguerre eval_legendre eval_sh_chebyt "
        "eval_sh_chebyu eval_sh_jacobi eval_sh_legendre gegenbauer genlaguerre hermite hermitenorm jacobi laguerre legendre legendre_p "
        "legendre_p_all lpmv lqmn lqn lpmn lpn clpmn sh_chebyt sh_chebyu sh_jacobi sh_legendre sph_legendre_p sph_legendre_p_all "
        "besselpoly",
    ),
    (
        _NUMBERS,
        "ai_zeros bei_zeros beip_zeros ber_zeros berp_zeros bi_zeros erf_zeros fresnel_zeros fresnelc_zeros fresnels_zeros jn_zeros "
        "jnjnp_zeros jnp_zeros jnyn_zeros kei_zeros keip_zeros kelvin_zeros ker_zeros kerp_zeros y0_zeros y1_zeros y1p_zeros yn_zeros "
        "ynp_zeros c_roots cg_roots h_roots he_roots j_roots js_roots l_roots la_roots p_roots ps_roots s_roots t_roots ts_roots u_roots "
        "us_roots roots_chebyc roots_chebys roots_chebyt roots_chebyu roots_gegenbauer roots_genlaguerre roots_hermite roots_hermitenorm "
        "roots_jacobi roots_laguerre roots_legendre roots_sh_chebyt roots_sh_chebyu roots_sh_jacobi roots_sh_legendre bernoulli euler "
        "stirling2 mathieu_even_coef mathieu_odd_coef obl_cv_seq pro_cv_seq pbdn_seq pbdv_seq pbvv_seq factorial2 factorialk perm",
    ),
    (
        _COMPLEX,
        "hankel1 hankel1e hankel2 hankel2e h1vp h2vp kelvin loggamma modfresnelm modfresnelp sph_harm sph_harm_y sph_harm_y_all wofz",
    ),
    (
        _NO_ROW,
        "agm airy airye bei beip ber berp betaincc betainccinv betaincinv boxcox boxcox1p cosdg cosm1 cotdg diric ellip_harm ellip_harm_2 "
        "ellip_normal ellipeinc ellipj ellipkinc ellipkm1 elliprc elliprd elliprf elliprg elliprj exp10 expn exprel fresnel gammainccinv "
        "gammaincinv gammasgn huber hyp0f1 hyp1f1 hyp2f1 hyperu inv_boxcox inv_boxcox1p it2i0k0 it2j0y0 it2struve0 itairy iti0k0 itj0y0 "
        "itmodstruve0 itstruve0 iv ivp jv jve jvp kei keip ker kerp kn kv kve kvp lmbda log_wright_bessel mathieu_a mathieu_b mathieu_cem "
        "mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2 mathieu_sem modstruve obl_ang1 obl_ang1_cv obl_cv obl_rad1 "
        "obl_rad1_cv obl_rad2 obl_rad2_cv pbdv pbvv pbwa poch powm1 pro_ang1 pro_ang1_cv pro_cv pro_rad1 pro_rad1_cv pro_rad2 pro_rad2_cv "
        "pseudo_huber radian rgamma riccati_jn riccati_yn shichi sindg spherical_in spherical_jn spherical_kn spherical_yn struve tandg "
        "wright_bessel wrightomega yn yv yve yvp zetac",
    ),
    (_STATE, "SpecialFunctionError SpecialFunctionWarning errstate geterr seterr test"),
)

REFUSED_SPECIAL: dict[str, str] = {f"scipy.special.{name}": hint for hint, names in _GROUPS for name in names.split()}
